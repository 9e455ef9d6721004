"""Inworld's WebSocket protocol, without I/O."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from callengine.audio.format import AudioFormat, Encoding
from callengine.errors import ProviderError
from callengine.ports import Usage, WordTime
from callengine.providers.conversing import Sent
from callengine.providers.lenient import as_base64, as_list, as_object, as_text, compact, is_amount, json_object
from callengine.providers.tts.contexts import Spoken
from callengine.wire import Failures

LONGEST_TEXT = 1000
"""Characters of one ``send_text`` (docs.inworld.ai, "Synthesize speech (WebSocket)")."""

_ENCODINGS: dict[str, Encoding] = {"MULAW": "mulaw", "ALAW": "alaw"}

# gRPC's codes (google.rpc.Code): an invalid argument, no permission, no authentication. Everything else may pass.
_FATAL = (3, 7, 16)
_NOT_FOUND = 5
"""A context that is over: said to what comes late."""


class InworldFailures(Failures):
    """Reads gRPC statuses."""

    def from_response(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """See `Failures.from_response`; the body is a status of its own."""
        message = as_text(json_object(body.decode("utf-8", "replace")).get("message"))
        if message:
            body = json.dumps({"error": {"message": message}}).encode()
        return super().from_response(status, headers, body)

    def from_status(self, status: Mapping[str, Any]) -> ProviderError:
        """The error that a status means."""
        code = status.get("code")
        message = as_text(status.get("message")) or "the server reported an error"
        return self.make(f"{message} (code {code})", fault="fatal" if code in _FATAL else "retry")


@attrs.define
class _Speaking:
    """A context that is not over."""

    size: int = 0
    """Bytes of its audio so far."""
    start: float = 0.0
    """Seconds of its audio before the present generation: word times begin anew with each."""


class InworldDialect:
    """See `callengine.providers.tts.contexts.Dialect`."""

    ready = True
    keep_alive = math.inf
    names_contexts = True

    def __init__(self, create: Mapping[str, Any], failures: InworldFailures) -> None:
        audio = as_object(create.get("audioConfig"))
        rate = audio.get("sampleRateHertz")
        encoding = _ENCODINGS.get(as_text(audio.get("audioEncoding")), "l16")
        self._format = AudioFormat(encoding, int(rate) if is_amount(rate) else 16000)
        self._create = create
        self._model = as_text(create.get("modelId"))
        self._failures = failures
        self._speaking: dict[str, _Speaking] = {}

    @property
    def audio_format(self) -> AudioFormat:
        """What was asked for."""
        return self._format

    # --- what we say --------------------------------------------------------------------------------------------------

    def opening(self) -> Sent:
        """Nothing: each context brings its own settings."""
        return ()

    def begin(self, context: str, text: str) -> Sent:
        """Create it, say all of the text, and close it, which lets it finish."""
        self._speaking[context] = _Speaking()
        said: list[Mapping[str, Any]] = [{"text": part} for part in _parts(text)]
        said[-1] = {**said[-1], "flush_context": {}}
        return (
            compact({"create": self._create, "contextId": context}),
            *(compact({"send_text": part, "contextId": context}) for part in said),
            compact({"close_context": {}, "contextId": context}),
        )

    def cancel(self, context: str) -> Sent:
        """Stop the generation."""
        self._speaking.pop(context, None)
        return (compact({"cancel_context": {}, "contextId": context}),)

    def still_here(self) -> Sent:
        """Never said."""
        return ()

    def bye(self) -> Sent:
        """Nothing: it is only closed."""
        return ()

    def cost(self, text: str) -> Usage | None:
        """Its characters. The vendor counts too, but of a sentence that is cut its figure would never come."""
        return Usage(provider="inworld", model=self._model, characters=len(text), estimated=True)

    # --- what it says -------------------------------------------------------------------------------------------------

    def feed(self, message: str | bytes) -> Sequence[Spoken | Usage]:
        """What a message means. Raises for an error that names no context."""
        event = json_object(message)
        if error := as_object(event.get("error")):
            if error.get("code") == _NOT_FOUND:
                return ()
            raise self._failures.from_status(error)
        result = as_object(event.get("result"))
        context = as_text(result.get("contextId"))
        speaking = self._speaking.get(context)
        status = as_object(result.get("status"))
        if speaking is None:
            return () if context else self._without_context(status)
        if status.get("code"):
            del self._speaking[context]
            return (Spoken(context, failure=self._failures.from_status(status)),)
        if "contextClosed" in result:
            del self._speaking[context]
            return (Spoken(context, done=True),)
        if "flushCompleted" in result:
            speaking.start = self._format.seconds(speaking.size)
        return self._chunk(context, speaking, as_object(result.get("audioChunk")))

    def _without_context(self, status: Mapping[str, Any]) -> Sequence[Spoken]:
        if status.get("code") and status.get("code") != _NOT_FOUND:
            raise self._failures.from_status(status)
        return ()

    def _chunk(self, context: str, speaking: _Speaking, chunk: Mapping[str, Any]) -> Sequence[Spoken]:
        audio = _without_header(as_base64(chunk.get("audioContent")))
        speaking.size += len(audio)
        info = chunk.get("timestampInfo")
        words = _words(as_object(as_object(info).get("wordAlignment")), speaking.start)
        return (Spoken(context, audio, words),) if audio or words else ()


def _parts(text: str) -> list[str]:
    """The text in pieces that one message may hold, cut between words where that is possible."""
    parts = []
    while len(text) > LONGEST_TEXT:
        cut = text.rfind(" ", 1, LONGEST_TEXT) + 1 or LONGEST_TEXT
        parts.append(text[:cut])
        text = text[cut:]
    return [*parts, text]


def _words(alignment: Mapping[str, Any], start: float) -> tuple[WordTime, ...]:
    columns = [as_list(alignment.get(name)) for name in ("words", "wordStartTimeSeconds", "wordEndTimeSeconds")]
    return tuple(
        WordTime(word, start + begins, start + ends)
        for word, begins, ends in zip(*columns, strict=False)
        if isinstance(word, str) and is_amount(begins) and is_amount(ends)
    )


def _without_header(audio: bytes) -> bytes:
    """Without the WAV header that some encodings have at the start of each generation."""
    if audio[:4] != b"RIFF" or audio[8:12] != b"WAVE":
        return audio
    data = audio.find(b"data", 12)
    return audio[data + 8 :] if data >= 0 else b""
