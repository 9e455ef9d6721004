"""What the caller heard of what the agent said, to the word.

An utterance is a row of pieces (sentences), each with its text and the audio that was made of it. A position in the
audio becomes a position in the text: by the synthesiser's word times where it gives them, else the text is spread
over the piece's audio by its characters.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import attrs

from callengine.ports import WordTime

Certainty: TypeAlias = Literal["marks", "clock"]

CHARACTERS_A_SECOND = 15.0
"""Of speech, in a piece whose audio is still arriving: about 180 words a minute at five letters and a space each."""

_WORD = re.compile(r"\S+")


@attrs.frozen
class Heard:
    """What became of something that the agent said."""

    said: str
    """All of it."""
    heard: str
    """The part that the caller heard: a prefix of ``said``, to the word."""
    complete: bool
    """Whether everything was heard."""
    cut_by: str | None = None
    """``caller``, ``application`` or ``hangup``; None where it was played to its end."""
    certainty: Certainty = "marks"
    """Whether the carrier's echoed marks say so, or only the clock."""

    @property
    def unheard(self) -> str:
        """The part that the caller missed."""
        return "" if self.complete else self.said[len(self.heard) :].strip()


@attrs.define
class _Piece:
    text: str
    start: int | None = None
    """Position of its first sample; None while it is only planned."""
    samples: int = 0
    complete: bool = False
    words: list[WordTime] = attrs.field(factory=list)


class SpokenText:
    """The text of an utterance, alongside its audio. Positions in samples of the line's rate.

    Text is planned as soon as it is written, and gets its audio, piece by piece and in order, when that is made.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._pieces: list[_Piece] = []
        self._current = -1
        self._end = 0

    @property
    def said(self) -> str:
        """Everything that was to be said so far."""
        return " ".join(piece.text for piece in self._pieces if piece.text)

    @property
    def piece_is_silent(self) -> bool:
        """Whether the current piece has no audio yet."""
        return self._current < 0 or not self._pieces[self._current].samples

    def plan(self, text: str) -> None:
        """Another piece is to be said, behind the others."""
        self._pieces.append(_Piece(text.strip()))

    def begin_piece(self) -> None:
        """The audio of the next planned piece starts here; the last piece is complete."""
        self.end_piece()
        self._current += 1
        self._pieces[self._current].start = self._end

    def add_audio(self, samples: int, words: tuple[WordTime, ...] = ()) -> None:
        """More audio of the current piece; word times count from the piece's start."""
        piece = self._pieces[self._current]
        piece.samples += samples
        piece.words += words
        self._end += samples

    def end_piece(self) -> None:
        """The current piece has all its audio."""
        if self._current >= 0:
            self._pieces[self._current].complete = True

    def heard(self, position: int) -> tuple[str, bool]:
        """The text that the first ``position`` samples say, and whether it is everything."""
        heard: list[str] = []
        for piece in self._pieces:
            text, whole = ("", False) if piece.start is None else self._heard_of(piece, position - piece.start)
            if text:
                heard.append(text)
            if not whole:
                return " ".join(heard), False
        return " ".join(heard), True

    def _heard_of(self, piece: _Piece, position: int) -> tuple[str, bool]:
        if piece.complete and position >= piece.samples:
            return (piece.text, True) if piece.samples else ("", False)
        if position <= 0:
            return "", False
        ends = [match.end() for match in _WORD.finditer(piece.text)]
        times = piece.words
        if times and (len(times) == len(ends) or not piece.complete):
            count = sum(1 for word in times[: len(ends)] if round(word.end * self._rate) <= position)
        else:
            count = _spread(piece, position, ends, self._rate)
        return (piece.text[: ends[count - 1]] if count else ""), False


def _spread(piece: _Piece, position: int, ends: list[int], rate: int) -> int:
    """The words that were said by this position, where each character, and the space after a word, takes as long.

    While audio is still arriving its length is guessed, and the last word has not been said.
    """
    characters = len(piece.text) + 1
    total = piece.samples
    if not piece.complete:
        ends = ends[:-1]
        total = max(total, round(characters / CHARACTERS_A_SECOND * rate))
    return sum(1 for end in ends if (end + 1) * total <= position * characters)
