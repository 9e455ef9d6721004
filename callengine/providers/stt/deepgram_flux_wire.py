"""The protocol of Deepgram's ``/v2/listen``, without I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from callengine.audio.convert import SILENCE, from_pcm
from callengine.audio.format import AudioFormat, Pcm
from callengine.ports import Usage
from callengine.providers.deepgram_account import DeepgramFailures
from callengine.providers.lenient import as_text, is_amount, json_object
from callengine.providers.stt.dialect import Finished, Heard, Sent, Whole
from callengine.providers.stt.timeline import Timeline

KEEP_ALIVE = 8.0
"""Seconds: users saw connections without audio end after 20 to 30, and there is no message that keeps one."""

NUDGE = 0.08
"""Seconds of silence that keep a connection, the vendor's own size of a block; they are billed (1 % of the time)."""

UNANSWERED = 1.0
"""Seconds that the answer to ``ForceEndTurn`` may take, from the last words on: outside a turn there may be none."""


class FluxDialect:
    """Binary audio and JSON commands out, JSON in (see `callengine.providers.stt.streaming`).

    The vendor's turns have their own bounds: one that ends by itself ends the utterance, with the hint ``end``; at the
    end of an utterance, the vendor's turn is ended by us. Its clock is the audio's, so pauses are sent, too.
    """

    hears_pauses = True
    keep_alive = KEEP_ALIVE
    settle = UNANSWERED

    def __init__(self, model: str, sample_rate: int, failures: DeepgramFailures) -> None:
        self.audio_format = AudioFormat("mulaw" if sample_rate == 8000 else "l16", sample_rate)
        self.ready = False
        self._model = model
        self._failures = failures
        self._timeline = Timeline(sample_rate)
        self._forced: int | None = None
        """The utterance for which ``ForceEndTurn`` was sent, and no turn has ended since."""
        self._speaking = False
        """The vendor is in a turn."""

    def opening(self) -> Sent:
        """See `Dialect.opening`."""
        return ()

    def start(self) -> Sent:
        """See `Dialect.start`."""
        self._timeline.begin()
        return ()

    def audio(self, pcm: Pcm) -> Sent:
        """See `Dialect.audio`."""
        if not len(pcm):
            return ()
        self._timeline.sent(len(pcm))
        return (from_pcm(pcm, self.audio_format.encoding),)

    def pause(self) -> Sent:
        """See `Dialect.pause`: it hears the pause itself."""
        return ()

    def end(self) -> Sent:
        """See `Dialect.end`."""
        self._timeline.end()
        self._forced = self._timeline.spans[-1].index if self._timeline.spans else None
        return ('{"type":"ForceEndTurn"}',)

    def still_here(self) -> Sent:
        """See `Dialect.still_here`: silence, because the vendor closes a connection on which it is sent KeepAlive."""
        samples = round(NUDGE * self.audio_format.sample_rate)
        self._timeline.sent(samples)
        return (SILENCE[self.audio_format.encoding] * samples,)

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
            case "Connected":
                self.ready = True
            case "TurnInfo":
                return self._turn(data)
            case "Warning" if self._forced is not None and not self._speaking:
                of, self._forced = self._forced, None
                return (Finished(of=of),)  # there was no turn to end: nothing was said
            case "Error":
                raise self._error(data)
            case _:
                pass
        return ()

    def _turn(self, data: Mapping[str, Any]) -> Sequence[Heard]:
        event, text = data.get("event"), as_text(data.get("transcript"))
        start, until = data.get("audio_window_start"), data.get("audio_window_end")
        span = self._timeline.whose(start, until) if is_amount(start) and is_amount(until) else None
        of = None if span is None else span.index
        match event:
            case "EagerEndOfTurn":
                self._speaking = True
                return (Whole(text, "eager", of),)
            case "TurnResumed":
                self._speaking = True
                return (Whole(text, "resumed", of),)
            case "EndOfTurn":
                self._speaking = False
                asked = self._forced is not None if span is None else span.end < inf
                if of is None or of == self._forced:
                    self._forced = None
                return Whole(text, None, of), Finished(None if asked else "end", of)
            case _ if text.strip():
                self._speaking = True
                return (Whole(text, None, of),)
            case _:  # an update outside a turn
                return ()

    def _error(self, data: Mapping[str, Any]) -> Exception:
        code, reason = as_text(data.get("code")), as_text(data.get("description"))
        ours = code == "UNPARSABLE_CLIENT_MESSAGE"
        return self._failures.make(f"{code} {reason}".strip() or "an error", fault="fatal" if ours else "retry")
