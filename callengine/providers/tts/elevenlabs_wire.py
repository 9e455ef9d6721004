"""The protocol of ElevenLabs' WebSocket with many contexts, and words from the times of characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from callengine.audio.format import AudioFormat
from callengine.ports import Usage, WordTime
from callengine.providers.conversing import Sent
from callengine.providers.elevenlabs_account import ElevenLabsFailures
from callengine.providers.lenient import as_base64, as_list, as_object, compact, is_amount, json_object
from callengine.providers.tts.contexts import Spoken

KEEP_ALIVE = 10.0
"""Seconds: the vendor closes a socket without any message after its ``inactivity_timeout``, which is 20 by default."""

MAX_OPEN = 4
"""Contexts. A socket has 5, and all of it is closed at a sixth; those that were cut count until the vendor is through
with them (elevenlabs.io/docs, "Multi-Context WebSocket")."""


class ContextsDialect:
    """See `callengine.providers.tts.contexts`.

    A sentence is a context that is flushed and closed at once: then the vendor says when all of its audio was sent.
    """

    names_contexts = True
    ready = True
    keep_alive = KEEP_ALIVE

    def __init__(
        self, model: str, audio_format: AudioFormat, first: Mapping[str, Any], failures: ElevenLabsFailures
    ) -> None:
        self.audio_format = audio_format
        self._model = model
        self._first = first
        self._failures = failures
        self._open: dict[str, Alignment] = {}

    def opening(self) -> Sent:
        """Nothing: all is in the address and in each context's first message."""
        return ()

    def begin(self, context: str, text: str) -> Sent:
        """A context's first message is a single space, and the only one that may have settings; texts end with one.

        Raises `ProviderError` where the socket has no room for another context.
        """
        if len(self._open) >= MAX_OPEN:
            raise self._failures.make(f"{MAX_OPEN} sentences that were cut have not ended yet", fault="reopen")
        self._open[context] = Alignment(self.audio_format)
        return (
            compact({"text": " ", "context_id": context, **self._first}),
            compact({"text": f"{text.strip()} ", "context_id": context, "flush": True}),
            compact({"context_id": context, "close_context": True}),
        )

    def cancel(self, context: str) -> Sent:
        """Close it, if it is still open. What was flushed may still be generated."""
        return (compact({"context_id": context, "close_context": True}),) if context in self._open else ()

    def still_here(self) -> Sent:
        """A text without a context: with one it would be that context's first message."""
        return (compact({"text": ""}),)

    def bye(self) -> Sent:
        """The vendor need not finish what is open."""
        return (compact({"close_socket": True}),)

    def cost(self, text: str) -> Usage:
        """It is billed by the character, and tells no figures here."""
        return Usage(provider="elevenlabs", model=self._model, characters=len(text), estimated=True)

    def feed(self, message: str | bytes) -> Sequence[Spoken]:
        """See `Dialect.feed`."""
        data = json_object(message)
        context = data.get("contextId") or data.get("context_id")
        named = isinstance(context, str)
        if data.get("error"):
            error = self._failures.from_event(data)
            if not named:
                raise error
            self._open.pop(str(context), None)
            return (Spoken(str(context), failure=error),)
        alignment = self._open.get(str(context)) if named else None
        if alignment is None:
            return ()
        audio, done = as_base64(data.get("audio")), data.get("isFinal") is True or data.get("is_final") is True
        words = alignment.take(len(audio), data.get("alignment") or data.get("normalizedAlignment"))
        if done:
            del self._open[str(context)]
            words += alignment.rest()
        return (Spoken(str(context), audio, words, done),)


class Alignment:
    """Makes words of one context's characters. A word may be cut by the border of two messages."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._size = 0
        """Bytes of audio before this message: the characters' times count from its start."""
        self._word = ""
        self._start = 0.0
        self._end = 0.0

    def take(self, size: int, alignment: object) -> tuple[WordTime, ...]:
        """The words that a message completes, of ``size`` bytes of audio and the vendor's ``alignment`` of it."""
        offset = self._format.seconds(self._size)
        self._size += size
        words: list[WordTime] = []
        for character, start, duration in _characters(alignment):
            if character.isspace():
                words += self.rest()
                continue
            if not self._word:
                self._start = offset + start / 1000
            self._word += character
            self._end = offset + (start + duration) / 1000
        return tuple(words)

    def rest(self) -> tuple[WordTime, ...]:
        """The word that is not complete yet."""
        word, self._word = self._word, ""
        return (WordTime(word, self._start, self._end),) if word else ()


def _characters(alignment: object) -> list[tuple[str, float, float]]:
    """Character, start and duration in milliseconds; servers differ in the names of the lists."""
    lists = as_object(alignment)
    characters = as_list(lists.get("chars"))
    starts = as_list(lists.get("charStartTimesMs") or lists.get("charsStartTimesMs"))
    durations = as_list(lists.get("charDurationsMs") or lists.get("charsDurationsMs"))
    return [
        (character, start, duration)
        for character, start, duration in zip(characters, starts, durations, strict=False)
        if isinstance(character, str) and is_amount(start) and is_amount(duration)
    ]
