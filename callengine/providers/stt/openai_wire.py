"""OpenAI's realtime transcription protocol, without I/O."""

from __future__ import annotations

import base64
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from callengine.audio.convert import from_pcm
from callengine.audio.format import AudioFormat, Pcm
from callengine.audio.resample import Resampler
from callengine.ports import Usage
from callengine.providers.lenient import as_object, as_text, compact, is_amount, json_object
from callengine.providers.stt.dialect import Finished, Heard, Sent, Words
from callengine.wire import Failures

FORMAT = AudioFormat("l16", 24000)
"""The one linear format of the realtime API (developers.openai.com, guide "Realtime transcription"). It also names
mu-law, but users have reported that it is accepted and then not heard."""

_LEAST = FORMAT.sample_rate // 10
"""Samples without which a commit is refused: 100 ms (API reference, ``input_audio_buffer.commit``)."""

_PAST = 64
"""Items whose late messages are still known to be late."""

# What no other session can mend; a code or a type (openai-python 3.54.0 and the guide "Error codes").
_FATAL = frozenset({
    "invalid_api_key", "insufficient_quota", "credit_balance_exhausted", "account_deactivated",
    "billing_hard_limit_reached",
})  # fmt: skip
_PASSING = frozenset({"server_error", "rate_limit_exceeded"})


@attrs.define
class _Item:
    """What was committed at once: an utterance."""

    text: str = ""
    usage: Usage | None = None
    done: bool = False


class OpenAIDialect:
    """See `callengine.providers.stt.streaming.Dialect`.

    Transcripts of several utterances may come in any order; they are handed out in that in which they were spoken.
    """

    hears_pauses = False
    keep_alive = math.inf
    settle = math.inf

    def __init__(self, session: Mapping[str, Any], model: str, sample_rate: int, failures: Failures) -> None:
        self.ready = False
        self._session = session
        self._model = model
        self._rate = sample_rate
        self._failures = failures
        self._resampler = Resampler(sample_rate, FORMAT.sample_rate)
        self._sent = 0
        self._items: dict[str, _Item] = {}
        """Without a transcript that was handed out, in the order in which they were spoken."""
        self._past: deque[str] = deque(maxlen=_PAST)
        self._refused = 0
        self._told: deque[bool] = deque()
        """Of utterances that are finished, whose cost is about to be asked for: whether the vendor told it."""

    # --- what we say --------------------------------------------------------------------------------------------------

    def opening(self) -> Sent:
        """The session's settings."""
        return (compact({"type": "session.update", "session": self._session}),)

    def start(self) -> Sent:
        """Nothing is said of it."""
        self._resampler = Resampler(self._rate, FORMAT.sample_rate)
        self._sent = 0
        return ()

    def audio(self, pcm: Pcm) -> Sent:
        """The block at 24 kHz."""
        return self._append(self._resampler.push(pcm))

    def pause(self) -> Sent:
        """Nothing: a commit here would cut the utterance in two."""
        return ()

    def end(self) -> Sent:
        """Commit what was sent; what is shorter than the vendor takes is made longer with silence."""
        rest = self._resampler.flush()
        missing = _LEAST - self._sent - len(rest)
        if missing > 0:
            rest = np.concatenate((rest, np.zeros(missing, np.int16)))
        return (*self._append(rest), compact({"type": "input_audio_buffer.commit"}))

    def still_here(self) -> Sent:
        """Never said: an idle session is kept."""
        return ()

    def bye(self) -> Sent:
        """Nothing: it is only closed."""
        return ()

    def _append(self, pcm: Pcm) -> Sent:
        if not len(pcm):
            return ()
        self._sent += len(pcm)
        audio = base64.b64encode(from_pcm(pcm, FORMAT.encoding)).decode()
        return (compact({"type": "input_audio_buffer.append", "audio": audio}),)

    # --- what it says -------------------------------------------------------------------------------------------------

    def feed(self, message: str | bytes) -> Sequence[Heard]:
        """What a message means."""
        event = json_object(message)
        kind, name = event.get("type"), as_text(event.get("item_id"))
        match kind:
            case "session.updated":
                self.ready = True
            case "input_audio_buffer.committed":
                self._item(name)
            case "conversation.item.input_audio_transcription.delta":
                return self._grows(name, as_text(event.get("delta")))
            case "conversation.item.input_audio_transcription.completed":
                return self._completed(name, as_text(event.get("transcript")), self._usage(event.get("usage")))
            case "conversation.item.input_audio_transcription.failed":
                raise self._failures.from_stream(as_object(event.get("error")))
            case "error":
                return self._problem(as_object(event.get("error")))
        return ()

    def cost(self, seconds: float) -> Usage | None:
        """By the audio sent, where the vendor said nothing of it."""
        if self._told and self._told.popleft():
            return None
        return Usage(provider="openai", model=self._model, seconds=seconds, estimated=True)

    def _item(self, name: str) -> _Item | None:
        """None for one that is over, or has no name."""
        if not name or name in self._past:
            return None
        return self._items.setdefault(name, _Item())

    def _grows(self, name: str, delta: str) -> Sequence[Heard]:
        item = self._item(name)
        if item is None or item.done or not delta:
            return ()
        item.text += delta
        return (Words(item.text, final=False),) if item is self._oldest() else ()

    def _completed(self, name: str, transcript: str, usage: Usage | None) -> Sequence[Heard]:
        item = self._item(name)
        if item is None or item.done:
            return ()
        item.text, item.usage, item.done = transcript, usage, True
        return self._hand_out()

    def _hand_out(self) -> Sequence[Heard]:
        heard: list[Heard] = []
        while (oldest := self._oldest()) is not None and oldest.done:
            name = next(iter(self._items))
            del self._items[name]
            self._past.append(name)
            heard.append(Words(oldest.text, final=True))
            if oldest.usage is not None:
                heard.append(oldest.usage)
            self._told.append(oldest.usage is not None)
            heard.append(Finished())
        if heard and oldest is not None and oldest.text:
            heard.append(Words(oldest.text, final=False))
        return heard

    def _oldest(self) -> _Item | None:
        return next(iter(self._items.values()), None)

    def _problem(self, error: Mapping[str, Any]) -> Sequence[Heard]:
        """Most errors concern one message, and the session goes on; but before it is ready each one is its end."""
        codes = {as_text(error.get(key)) for key in ("code", "type")}
        message = as_text(error.get("message")) or " ".join(sorted(codes)).strip() or "the server reported an error"
        if codes & _FATAL:
            raise self._failures.make(message, fault="fatal")
        if "session_expired" in codes:
            raise self._failures.make(message, fault="reopen")
        if not self.ready:
            raise self._failures.from_stream(error)
        if codes & _PASSING:
            raise self._failures.make(message)
        if "input_audio_buffer_commit_empty" in codes:  # then nothing else comes of this utterance
            self._refused += 1
            return self._completed(f"refused {self._refused}", "", None)
        return ()

    def _usage(self, usage: object) -> Usage | None:
        """Tokens for some models, seconds of audio for others."""
        given = as_object(usage)
        seconds, tokens = given.get("seconds"), given.get("input_tokens")
        if is_amount(seconds):
            return Usage(provider="openai", model=self._model, seconds=float(seconds))
        if is_amount(tokens):
            output = given.get("output_tokens")
            return Usage(
                provider="openai",
                model=self._model,
                input_tokens=int(tokens),
                output_tokens=int(output) if is_amount(output) else 0,
            )
        return None
