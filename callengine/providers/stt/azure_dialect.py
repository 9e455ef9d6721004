"""Azure Speech's recogniser without I/O: turns, and what the service says in them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from callengine.audio.convert import from_pcm
from callengine.audio.format import Pcm
from callengine.audio.resample import Resampler
from callengine.errors import ProviderFault
from callengine.ports import Usage
from callengine.providers.stt.azure_wire import binary_frame, parse, text_frame, wav_header
from callengine.providers.stt.dialect import Finished, Heard, Reply, Sent, Words
from callengine.wire import Failures

TICKS = 10_000_000
"""A second, in the service's unit of time: 100 ns."""

RATES = (8000, 16000)
"""Hz that the recogniser's models are made for (learn.microsoft.com, "How to use the audio input streams")."""

CLOSES: Mapping[int, ProviderFault] = {1002: "fatal", 1003: "fatal", 1007: "fatal", 1008: "retry", 4000: "fatal"}
"""Close codes after which the vendor's own package does not connect again; after all others it does."""

_STATUSES: Mapping[str, ProviderFault] = {
    "TooManyRequests": "retry",
    "Error": "retry",
    "BadRequest": "fatal",
    "Forbidden": "fatal",
}
"""Results that are errors. The others without words (``NoMatch``, ``InitialSilenceTimeout``, ``BabbleTimeout``,
``EndOfDictation``) mean that nothing was said."""


class AzureDialect:
    """The protocol (see `callengine.providers.stt.streaming`): an utterance is a turn of the service, or several where
    it ends one by itself.

    The audio of a turn that is to begin before the last one is over waits here: the service has one at a time. What it
    had not understood of a turn that it ended itself is sent again in the next.
    ``new_id`` makes 32 hexadecimal digits, ``timestamp`` a label for the vendor's logs.
    """

    hears_pauses = False
    ready = True
    keep_alive = math.inf  # an idle socket may be closed; then the next utterance opens another

    def __init__(
        self,
        settings: Mapping[str, Any],
        sample_rate: int,
        failures: Failures,
        *,
        model: str,
        new_id: Callable[[], str],
        timestamp: Callable[[], str],
    ) -> None:
        self._config = settings.get("speech.config", {})
        self._context = settings.get("speech.context", {})
        self._failures = failures
        self._model = model
        self._new_id = new_id
        self._timestamp = timestamp
        self._rate = sample_rate if sample_rate in RATES else 16000
        self._resampler = Resampler(sample_rate, self._rate)
        self._begun = 0
        """Utterances, so far."""
        self._turn = ""
        """The id of the one that takes audio."""
        self._sent = bytearray()
        """The audio of that turn."""
        self._understood = 0
        """Bytes of it that phrases were about."""
        self._ending: tuple[str, int] | None = None
        """The id and the utterance of the turn whose end was asked for and has not come."""
        self._held: list[tuple[int, Pcm | None]] = []
        """What came since: audio of an utterance, or its end."""

    @property
    def settle(self) -> float:
        """See `Dialect.settle`: a turn always ends; an utterance whose last turn the service has ended is over."""
        return math.inf if self._turn or self._ending or self._held else 0.0

    def opening(self) -> Sent:
        """Who we are: needed before anything else, and free."""
        return (self._json("speech.config", self._new_id(), self._config),)

    def start(self) -> Sent:
        """Nothing: the turn begins with its audio."""
        self._begun += 1
        return ()

    def audio(self, pcm: Pcm) -> Sent:
        """In a turn, which it opens if there is none."""
        if self._ending is not None or self._held:
            self._held.append((self._begun - 1, pcm))
            return ()
        return self._spoken(self._resampler.push(pcm))

    def pause(self) -> Sent:
        """Nothing: the service finds pauses itself, if it hears them."""
        return ()

    def end(self) -> Sent:
        """The end of the turn's audio, if it has one."""
        if self._ending is not None or self._held:
            self._held.append((self._begun - 1, None))
            return ()
        return self._over(self._begun - 1)

    def still_here(self) -> Sent:
        """Nothing: see `keep_alive`."""
        return ()

    def bye(self) -> Sent:
        """Nothing but the closing itself."""
        return ()

    def cost(self, seconds: float) -> Usage:
        """What was sent: audio is billed."""
        return Usage(provider="azure", model=self._model, seconds=seconds, estimated=True)

    def feed(self, message: str | bytes) -> Sequence[Heard]:
        """See `Dialect.feed`."""
        frame = parse(message)
        if frame is None:
            return ()
        ending, utterance = self._ending or ("", self._begun - 1)
        if not frame.request_id or frame.request_id not in (self._turn, ending):
            return ()  # of an earlier turn
        match frame.path:
            case "speech.hypothesis" | "speech.fragment":
                text = frame.json.get("Text")
                return (Words(text, False, of=utterance),) if isinstance(text, str) else ()
            case "speech.phrase":
                self._understood = max(self._understood, _reached(frame.json, self._rate))
                return self._phrase(frame.json, utterance)
            case "turn.end":
                return self._ended(utterance)
        return ()

    def _phrase(self, phrase: Mapping[str, Any], utterance: int) -> Sequence[Heard]:
        status = phrase.get("RecognitionStatus")
        if isinstance(status, str) and status in _STATUSES:
            raise self._failures.make(f"recognition failed: {status}", fault=_STATUSES[status])
        if status != "Success":
            return (Words("", True, of=utterance),)
        return (Words(_display(phrase), True, of=utterance),)

    def _ended(self, utterance: int) -> Sequence[Heard]:
        """The turn is over: because its audio was, or at the service's own choice; then the rest gets another."""
        if self._ending is None:
            rest = bytes(self._sent[self._understood :])
            self._turn = ""
            return (Reply(self._next(rest)),) if rest else ()
        self._ending = None
        replies = self._release()
        return (Finished(of=utterance), Reply(replies)) if replies else (Finished(of=utterance),)

    def _release(self) -> list[str | bytes]:
        """What was held, up to where the next turn ends."""
        messages: list[str | bytes] = []
        while self._held and self._ending is None:
            utterance, pcm = self._held.pop(0)
            messages += self._over(utterance) if pcm is None else self._spoken(self._resampler.push(pcm))
        return messages

    def _spoken(self, pcm: Pcm) -> list[str | bytes]:
        return self._next(from_pcm(pcm, "l16")) if len(pcm) else []

    def _next(self, audio: bytes) -> list[str | bytes]:
        """More audio, in a turn that it opens if there is none."""
        messages: list[str | bytes] = []
        if not self._turn:
            self._turn, self._understood = self._new_id(), 0
            self._sent.clear()
            messages.append(self._json("speech.context", self._turn, self._context))
            messages.append(self._audio(wav_header(self._rate), {"Content-Type": "audio/x-wav"}))
        self._sent += audio
        messages.append(self._audio(audio))
        return messages

    def _over(self, utterance: int) -> list[str | bytes]:
        tail = self._resampler.flush()
        if not self._turn:
            return []
        messages = [*self._spoken(tail), self._audio(b"")]
        self._turn, self._ending = "", (self._turn, utterance)
        return messages

    def _json(self, path: str, request_id: str, body: object) -> str:
        headers = {**self._headers(path, request_id), "Content-Type": "application/json"}
        return text_frame(headers, json.dumps(body, separators=(",", ":")))

    def _audio(self, body: bytes, more: Mapping[str, str] | None = None) -> bytes:
        return binary_frame({**self._headers("audio", self._turn), **(more or {})}, body)

    def _headers(self, path: str, request_id: str) -> dict[str, str]:
        return {"Path": path, "X-RequestId": request_id, "X-Timestamp": self._timestamp()}


def _display(phrase: Mapping[str, Any]) -> str:
    """The words as they are written, of either output format."""
    text = phrase.get("DisplayText")
    if not isinstance(text, str):
        best = phrase.get("NBest")
        first = best[0] if isinstance(best, list) and best else None
        text = first.get("Display") if isinstance(first, dict) else None
    return text if isinstance(text, str) else ""


def _reached(phrase: Mapping[str, Any], rate: int) -> int:
    """The end of what a phrase is about, in bytes of its turn's audio."""
    offset, duration = phrase.get("Offset"), phrase.get("Duration")
    if not isinstance(offset, int) or not isinstance(duration, int) or offset < 0 or duration < 0:
        return 0
    return (offset + duration) * rate // TICKS * 2
