"""Speechmatics' protocol without I/O: JSON and audio out, transcripts in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from callengine.audio.convert import from_pcm
from callengine.audio.format import AudioFormat, Pcm
from callengine.errors import ProviderError, ProviderFault
from callengine.ports import Usage
from callengine.providers.lenient import compact, json_object
from callengine.providers.stt.dialect import Finished, Heard, Sent, Whole
from callengine.wire import Failures

KEEP_ALIVE = 25.0
"""Seconds without audio after which the connection is pinged: the vendor asks for 20 to 30, and closes after 180
(docs.speechmatics.com, "Realtime limits")."""

UNANSWERED = 1.5
"""Seconds that the end of an utterance may take, from the last words on. Where nothing was said, it does not come."""

SLACK = 0.05
"""Seconds by which the vendor's times may lie beside ours: it rounds them, and a word is longer."""

BUSY = 5.0
"""Seconds to wait before another session after these errors (docs.speechmatics.com, "Error types": 5 to 10)."""

# docs.speechmatics.com, "Realtime API reference", error messages and WebSocket close codes.
_FATAL = frozenset({
    "protocol_error", "not_authorised", "not_allowed", "invalid_model", "timelimit_exceeded", "invalid_message",
    "invalid_language", "invalid_config", "invalid_audio_type", "invalid_output_format",
})  # fmt: skip
_OVER = frozenset({"idle_timeout", "session_timeout", "policy_violation"})
_BUSY = frozenset({"internal_error", "quota_exceeded", "job_error"})
_CLOSES: Mapping[int, str] = {
    1003: "protocol_error",
    1008: "policy_violation",
    1011: "internal_error",
    4001: "not_authorised",
    4003: "not_allowed",
    4004: "invalid_model",
    4005: "quota_exceeded",
    4006: "timelimit_exceeded",
    4013: "job_error",
}


class SpeechmaticsFailures(Failures):
    """Knows the vendor's errors, which have the same meaning in a message and as a close code."""

    def from_message(self, data: Mapping[str, Any]) -> ProviderError:
        """An ``Error`` message. The session is over with it."""
        kind = data.get("type") if isinstance(data.get("type"), str) else ""
        reason = data.get("reason") or "the server reported an error"
        return self._of(kind or "", f"{kind}: {reason}" if kind else str(reason))

    def from_close(self, code: int, reason: str) -> ProviderError | None:
        """A close code of the vendor's own; None for the others."""
        kind = _CLOSES.get(code)
        return None if kind is None else self._of(kind, f"the connection was closed: {code} {reason or kind}")

    def _of(self, kind: str, message: str) -> ProviderError:
        fault: ProviderFault = "fatal" if kind in _FATAL else "reopen" if kind in _OVER else "retry"
        return self.make(message, fault=fault, retry_after=BUSY if kind in _BUSY else None)


class SpeechmaticsDialect:
    """The protocol (see `callengine.providers.stt.streaming`).

    Finals come in pieces, and times are of the audio that was sent: whose words they are is read from those.
    """

    keep_alive = KEEP_ALIVE
    settle = UNANSWERED

    def __init__(
        self, model: str, settings: Mapping[str, Any], audio_format: AudioFormat, failures: SpeechmaticsFailures
    ) -> None:
        self.ready = False
        self.hears_pauses = _trigger(settings) > 0
        self._model = model
        self._settings = settings
        self._format = audio_format
        self._failures = failures
        self._delimiter = " "
        self._samples = 0
        self._starts: list[float] = []
        """Of each utterance, in seconds of what was sent."""
        self._asked = 0
        """Utterances whose end was asked for."""
        self._final: dict[int, str] = {}
        """The final text of each utterance that is not finished."""

    def opening(self) -> Sent:
        """The configuration; audio is taken when it was answered."""
        return (compact({"message": "StartRecognition", **self._settings}),)

    def start(self) -> Sent:
        """Nothing: it hears a stream."""
        self._starts.append(self._sent)
        return ()

    def audio(self, pcm: Pcm) -> Sent:
        """As it is."""
        self._samples += len(pcm)
        return (from_pcm(pcm, self._format.encoding),)

    def pause(self) -> Sent:
        """Nothing: what was forced is not looked at again."""
        return ()

    def end(self) -> Sent:
        """Make everything final, up to here."""
        self._asked = len(self._starts)
        return (compact({"message": "ForceEndOfUtterance", "timestamp": round(self._sent, 3)}),)

    def still_here(self) -> Sent:
        """There is no message for it: a ping does."""
        return ()

    def bye(self) -> Sent:
        """Nothing but the closing itself: a proper end has to tell how many audio messages came, and of a session that
        was cancelled nobody knows that."""
        return ()

    def cost(self, seconds: float) -> Usage:
        """What was sent: audio is billed."""
        return Usage(provider="speechmatics", model=self._model, seconds=seconds, estimated=True)

    def feed(self, message: str | bytes) -> Sequence[Heard]:
        """See `Dialect.feed`."""
        data = json_object(message)
        match data.get("message"):
            case "Error":
                raise self._failures.from_message(data)
            case "RecognitionStarted":
                self._started(data.get("language_pack_info"))
            case "AddPartialTranscript":
                return self._heard(data, final=False)
            case "AddTranscript":
                return self._heard(data, final=True)
            case "EndOfUtterance":
                return self._ended(data)
        return ()

    @property
    def _sent(self) -> float:
        return self._samples / self._format.sample_rate

    def _started(self, language: object) -> None:
        self.ready = True
        if isinstance(language, dict) and isinstance(delimiter := language.get("word_delimiter"), str):
            self._delimiter = delimiter

    def _heard(self, data: Mapping[str, Any], *, final: bool) -> Sequence[Heard]:
        metadata = data.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        whose = self._whose(metadata.get("end_time"))
        before = self._final.get(whose, "")
        text = self._written(before, data.get("results")) if data.get("results") else ""
        if not text:
            transcript = metadata.get("transcript")
            more = transcript.strip() if isinstance(transcript, str) else ""
            text = before + self._delimiter + more if before and more else before + more
        if final:
            self._final[whose] = text
        return (Whole(text, of=whose),)

    def _written(self, text: str, results: object) -> str:
        """This text and these words behind it, each with its delimiter, but where it stands close to another."""
        close = not text
        for result in results if isinstance(results, list) else ():
            content = _content(result)
            attaches = result.get("attaches_to") if isinstance(result, dict) else None
            if content:
                text += content if close or attaches in ("previous", "both") else self._delimiter + content
                close = attaches in ("next", "both")
        return text

    def _ended(self, data: Mapping[str, Any]) -> Sequence[Heard]:
        """An end, ours or (where it judges) the vendor's own: there is one for each silence."""
        metadata = data.get("metadata")
        whose = self._whose(metadata.get("end_time") if isinstance(metadata, dict) else None)
        judged = self.hears_pauses and whose >= self._asked
        if not judged and whose >= self._asked:
            return ()
        for each in [each for each in self._final if each <= whose]:
            del self._final[each]
        return (Finished("end" if judged else None, of=whose),)

    def _whose(self, until: object) -> int:
        """The utterance that was going on then: a word ends some time after its utterance has begun."""
        if isinstance(until, bool) or not isinstance(until, int | float) or math.isnan(until):
            until = self._sent
        return max(0, sum(start < until - SLACK for start in self._starts) - 1)


def _content(result: object) -> str:
    """The best reading of a result, which may be of any shape."""
    alternatives = result.get("alternatives") if isinstance(result, dict) else None
    best = alternatives[0] if isinstance(alternatives, list) and alternatives else None
    content = best.get("content") if isinstance(best, dict) else None
    return content if isinstance(content, str) else ""


def _trigger(settings: Mapping[str, Any]) -> float:
    """The silence after which it judges a turn, if it does."""
    value: Any = settings
    for name in ("transcription_config", "conversation_config", "end_of_utterance_silence_trigger"):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int | float) else 0.0
