"""The protocol of Deepgram's ``/v1/listen``, without I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from callengine.audio.convert import SILENCE, from_pcm
from callengine.audio.format import AudioFormat, Pcm
from callengine.ports import Usage
from callengine.providers.deepgram_account import DeepgramFailures
from callengine.providers.lenient import as_list, as_object, as_text, is_amount, json_object
from callengine.providers.stt.dialect import Finished, Heard, Sent, Words
from callengine.providers.stt.timeline import Timeline

KEEP_ALIVE = 4.0
"""Seconds: the vendor closes after 10 without a message, and advises 3 to 5 ("Audio Keep Alive")."""

UNANSWERED = 0.5
"""Seconds that the answer to ``Finalize`` may take, from the last words on: with next to nothing to finalise, the
vendor may not answer ("Finalize")."""

NEAR = 0.05
"""Seconds by which two places in the audio may differ and be the same: the vendor rounds."""

_FIRST = 0.02
"""Seconds of silence that are sent first: an older edition of "Audio Keep Alive" says that a connection without any
audio cannot be kept."""


class NovaDialect:
    """Binary audio and JSON commands out, JSON in (see `callengine.providers.stt.streaming`).

    Words are finalised at every pause already, so that they are there when the utterance ends. Results name the stretch
    of audio that they cover: an utterance is finished when all of its audio is covered by final ones.
    """

    hears_pauses = False
    ready = True
    keep_alive = KEEP_ALIVE

    def __init__(self, model: str, sample_rate: int, failures: DeepgramFailures) -> None:
        self.audio_format = AudioFormat("mulaw" if sample_rate == 8000 else "l16", sample_rate)
        self._model = model
        self._failures = failures
        self._timeline = Timeline(sample_rate)
        self._final_to = 0.0
        """Everything before this place in the audio is final."""
        self._asked: deque[float] = deque()
        """The places at which ``Finalize`` was sent and not answered."""

    @property
    def settle(self) -> float:
        """See `Dialect.settle`: nothing is waited for where everything is final."""
        ended = [span.end for span in self._timeline.spans if span.end <= self._timeline.position]
        return 0.0 if ended and ended[-1] <= self._final_to + NEAR else UNANSWERED

    def opening(self) -> Sent:
        """See `Dialect.opening`."""
        samples = round(_FIRST * self.audio_format.sample_rate)
        self._timeline.sent(samples)
        return (SILENCE[self.audio_format.encoding] * samples,)

    def start(self) -> Sent:
        """See `Dialect.start`."""
        self._timeline.begin()
        return ()

    def audio(self, pcm: Pcm) -> Sent:
        """See `Dialect.audio`. Never an empty message: it would end the stream."""
        if not len(pcm):
            return ()
        self._timeline.sent(len(pcm))
        return (from_pcm(pcm, self.audio_format.encoding),)

    def pause(self) -> Sent:
        """See `Dialect.pause`."""
        return self._finalize()

    def end(self) -> Sent:
        """See `Dialect.end`."""
        self._timeline.end()
        return self._finalize()

    def _finalize(self) -> Sent:
        """Ask once for each place; not at all where nothing is left to ask for."""
        here = self._timeline.position
        if here <= self._final_to + NEAR or (self._asked and here <= self._asked[-1]):
            return ()
        self._asked.append(here)
        return ('{"type":"Finalize"}',)

    def still_here(self) -> Sent:
        """See `Dialect.still_here`. As text: in a binary message it would be audio."""
        return ('{"type":"KeepAlive"}',)

    def bye(self) -> Sent:
        """See `Dialect.bye`."""
        return ('{"type":"CloseStream"}',)

    def cost(self, seconds: float) -> Usage | None:
        """See `Dialect.cost`: audio is billed by the second."""
        return Usage(provider="deepgram", model=self._model, seconds=seconds, estimated=True)

    def feed(self, message: str | bytes) -> Sequence[Heard]:
        """See `Dialect.feed`."""
        data = json_object(message)
        match data.get("type"):
            case "Results":
                return self._results(data)
            case "Error":
                reason = as_text(data.get("description")) or as_text(data.get("message")) or "an error"
                ours = data.get("variant") == "SchemaError"  # it could not read what we sent, and never will
                raise self._failures.make(reason, fault="fatal" if ours else "retry")
            case _:
                return ()

    def _results(self, data: Mapping[str, Any]) -> Sequence[Heard]:
        start, duration = data.get("start"), data.get("duration")
        if not is_amount(start) or not is_amount(duration):
            return ()
        until = start + duration
        span = self._timeline.whose(start, until)
        alternatives = as_list(as_object(data.get("channel")).get("alternatives"))
        text = as_text(as_object(alternatives[0]).get("transcript")) if alternatives else ""
        final = data.get("is_final") is True
        heard: list[Heard] = [Words(text, final, None if span is None else span.index)]
        if final:
            before, self._final_to = self._final_to, max(self._final_to, until)
            if data.get("from_finalize") is True:
                self._answered(until)
            heard += [Finished(of=span.index) for span in self._timeline.spans if self._finished(span.end, before)]
        return heard

    def _answered(self, until: float) -> None:
        """An answer to ``Finalize``: everything before the place at which it was sent is final, wherever the vendor
        says that its words end. It may have passed over an earlier one."""
        if self._asked:
            self._final_to = max(self._final_to, self._asked.popleft())
        while self._asked and self._asked[0] <= until + NEAR:
            self._final_to = max(self._final_to, self._asked.popleft())

    def _finished(self, end: float, before: float) -> bool:
        return before < end + NEAR and end <= self._final_to + NEAR
