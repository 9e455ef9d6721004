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
        self.pace = sample_rate / CHARACTERS_A_SECOND
        """Samples a character, as in the last piece that was complete."""

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
            piece = self._pieces[self._current]
            if not piece.complete and piece.samples:
                self.pace = piece.samples / (len(piece.text) + 1)
            piece.complete = True

    @property
    def waits_for_audio(self) -> bool:
        """Whether something is to be said that has no audio yet."""
        return any(not piece.samples for piece in self._pieces)

    def missing_from(self) -> tuple[int, bool]:
        """Where the first word starts that the audio of the current piece, which has broken off, does not have whole.

        A position at or before the end of the audio, and whether it is certain: without word times it is not.
        """
        piece = self._pieces[self._current]
        assert piece.start is not None
        start, certain = self._word_at(piece, piece.samples)
        return piece.start + start, certain

    def break_piece(self, position: int) -> str:
        """The current piece ends at ``position``; returns what of its text is not said by then, which is planned as the
        next piece. A piece without any audio left is to be said anew, whole.

        The audio behind the position must have been taken away, or be a part of the first word of the rest.
        """
        piece = self._pieces[self._current]
        assert piece.start is not None
        said, _ = self._heard_of(piece, position - piece.start)
        rest = piece.text[len(said) :].strip()
        kept = self._end - piece.start
        if not kept:
            piece.words, piece.samples = [], 0
            return piece.text
        piece.text, piece.words, piece.complete = said, piece.words[: len(said.split())], True
        piece.samples = kept
        if rest:
            self._pieces.insert(self._current + 1, _Piece(rest))
        return rest

    def take_end(self, samples: int) -> None:
        """The last samples of the current piece are taken away: nobody has heard them."""
        self._pieces[self._current].samples -= samples
        self._end -= samples

    def abandon_piece(self) -> None:
        """The current piece will have no more audio: it says what it has said by now."""
        piece = self._pieces[self._current]
        if piece.samples:
            piece.text, _ = self._heard_of(piece, piece.samples)
            piece.words = piece.words[: len(piece.text.split())]
            piece.complete = True
        else:
            del self._pieces[self._current]
            self._current -= 1

    def drop_end(self, samples: int) -> None:
        """The last samples are taken away before anybody has heard them; what their pieces say ends there.

        The current piece must not have begun to sound.
        """
        self._end -= samples
        for index in range(self._current, -1, -1):
            piece = self._pieces[index]
            taken = min(samples, piece.samples)
            samples -= taken
            if taken:
                piece.text, _ = self._heard_of(piece, piece.samples - taken)
                piece.words = piece.words[: len(piece.text.split())]
                piece.samples -= taken
            if taken and not piece.samples:
                del self._pieces[index]
                self._current -= 1
            elif piece.start is not None:
                piece.start = min(piece.start, self._end)

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

    def next_word(self, position: int) -> tuple[int, bool]:
        """Where to go on so that nothing is lost to whom has heard ``position`` samples: a position at or before it.

        It is the start of the first word that was not heard to its end; the position itself where that is in a
        silence. Also whether that is certain: the start of a word in the middle of a piece without word times is not.
        """
        for piece in self._pieces:
            if piece.start is None:
                break
            offset = position - piece.start
            if offset <= 0:
                break
            if offset < piece.samples or not piece.complete:
                start, certain = self._word_at(piece, offset)
                return piece.start + start, certain
        return position, True

    def _word_at(self, piece: _Piece, offset: int) -> tuple[int, bool]:
        words = list(_WORD.finditer(piece.text))
        if not words:
            return offset, True
        count = self._said_by(piece, offset, [word.end() for word in words])
        if self._has_times(piece, len(words)):
            if count < len(piece.words):
                return min(offset, round(piece.words[count].start * self._rate)), True
            return offset if piece.complete else min(offset, round(piece.words[-1].end * self._rate)), True
        if not count:
            return 0, True
        characters, total = self._extent(piece)
        return min(offset, words[count].start() * total // characters), False

    def _heard_of(self, piece: _Piece, position: int) -> tuple[str, bool]:
        if piece.complete and position >= piece.samples:
            return (piece.text, True) if piece.samples else ("", False)
        if position <= 0:
            return "", False
        ends = [match.end() for match in _WORD.finditer(piece.text)]
        count = self._said_by(piece, position, ends)
        return (piece.text[: ends[count - 1]] if count else ""), False

    def _said_by(self, piece: _Piece, position: int, ends: list[int]) -> int:
        """The words of a piece that were said by this position in it."""
        if self._has_times(piece, len(ends)):
            return self._timed(piece.words[: len(ends)], position)
        # Each character, and the space after a word, takes as long. Of what still arrives, the last word is to come.
        characters, total = self._extent(piece)
        ends = ends if piece.complete else ends[:-1]
        return sum(1 for end in ends if (end + 1) * total <= position * characters)

    def _has_times(self, piece: _Piece, words: int) -> bool:
        """Whether the synthesiser's word times are of use: those of the whole text, or so far of a part of it."""
        return bool(piece.words) and (len(piece.words) == words or not piece.complete)

    def _timed(self, times: list[WordTime], position: int) -> int:
        return sum(1 for word in times if round(word.end * self._rate) <= position)

    def _extent(self, piece: _Piece) -> tuple[int, int]:
        """The characters of a piece, and the samples that they take; guessed while audio is still arriving."""
        characters = len(piece.text) + 1
        if piece.complete:
            return characters, piece.samples
        return characters, max(piece.samples, round(characters * self.pace))
