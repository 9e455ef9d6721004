"""Speech that can be read back: every word is a stretch of loud audio that carries its own number.

A scripted voice speaks it, and whoever gets the audio (the simulated caller's ear, the scripted recogniser) knows to
the sample which words were in it. It survives G.711 and being cut anywhere; a word of which a part is missing was not
heard. It is loud throughout, so that an energy VAD finds it.
"""

from __future__ import annotations

import re

import attrs

FRAME = 160
"""Bytes of 20 ms of mu-law at 8 kHz."""

SECONDS_A_CHARACTER = 0.06
"""About 180 words a minute."""

_MARKER = 0x00
_DIGITS = bytes(range(0x80, 0x90))
_FILLER = bytes((0x20, 0xA0))
_HEAD = 7
"""Bytes: the marker and six digits of the word's number."""


@attrs.frozen
class Word:
    """A spoken word."""

    number: int
    text: str
    size: int
    """Bytes of its audio."""

    @property
    def audio(self) -> bytes:
        """Mu-law at 8 kHz."""
        digits = bytes(_DIGITS[(self.number >> shift) & 15] for shift in range(20, -1, -4))
        body = self.size - _HEAD
        return bytes((_MARKER,)) + digits + (_FILLER * (body // 2 + 1))[:body]


class Vocabulary:
    """All words spoken in one lab."""

    def __init__(self) -> None:
        self._words: list[Word] = []

    def speak(self, text: str) -> list[Word]:
        """Say a text: its words, each in audio of its own."""
        words = []
        for match in re.finditer(r"\S+", text):
            frames = max(5, round(SECONDS_A_CHARACTER * (len(match.group()) + 1) / 0.02))
            word = Word(len(self._words), match.group(), frames * FRAME)
            self._words.append(word)
            words.append(word)
        return words

    def word(self, number: int) -> Word | None:
        """The word with this number."""
        return self._words[number] if number < len(self._words) else None


class WordReader:
    """Reads the words out of a stream of audio, given in pieces."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._buffer = bytearray()
        self._position = 0
        """Of the buffer's first byte in the stream."""

    def feed(self, audio: bytes) -> list[tuple[Word, int]]:
        """More of the stream; returns the words completed in it, with the position after their last byte."""
        self._buffer += audio
        found: list[tuple[Word, int]] = []
        while True:
            start = self._buffer.find(_MARKER)
            if start < 0:
                self._skip(len(self._buffer))
                return found
            self._skip(start)
            if len(self._buffer) < _HEAD:
                return found
            word = self._head()
            if word is None:
                self._skip(1)
                continue
            next_marker = self._buffer.find(_MARKER, 1)
            if 0 < next_marker < word.size:  # the rest of it is missing
                self._skip(next_marker)
                continue
            if len(self._buffer) < word.size:
                return found
            body = self._buffer[_HEAD : word.size]
            whole = not body.translate(None, _FILLER)
            self._skip(word.size if whole else 1)
            if whole:
                found.append((word, self._position))

    def _head(self) -> Word | None:
        number = 0
        for byte in self._buffer[1:_HEAD]:
            digit = byte - _DIGITS[0]
            if not 0 <= digit < 16:
                return None
            number = number << 4 | digit
        return self._vocabulary.word(number)

    def _skip(self, size: int) -> None:
        del self._buffer[:size]
        self._position += size


def read_words(vocabulary: Vocabulary, audio: bytes) -> str:
    """All whole words in this audio."""
    return " ".join(word.text for word, _ in WordReader(vocabulary).feed(audio))
