"""A telephone number as it is dictated: digit by digit, in groups, with "double six" and "plus four four"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from callengine.brain.slots.base import Found, SlotContext, SlotKind, Strength
from callengine.brain.slots.words import DIGITS, Words, cardinal, listed

_TIMES = {"double": 2, "triple": 3, "treble": 3}
_HOMOPHONES = {"to": "2", "too": "2", "for": "4", "won": "1", "ate": "8", "tree": "3", "sex": "6"}
"""What a recogniser writes among digits."""
_BETWEEN = frozenset(listed("and then uh um er dash hyphen space"))
_MARKERS = frozenset(listed("number phone telephone mobile cell reach call"))
_GROUP = 3


@attrs.frozen
class Phone(SlotKind):
    """Digits, with a leading + where the caller said "plus" (a `str`: "5550142", "+447911").

    Fewer than ``least`` digits are a part of a number: the caller is asked to go on, and the parts are joined. More
    than ``most`` are too many, and asked for again. ITU-T E.164 allows 15 digits; local numbers have 7 or more.
    """

    least: int = 7
    most: int = 15

    order = 30
    hint = "five five five, zero one four two"

    def find(self, words: Words, context: SlotContext) -> Sequence[Found]:
        del context
        runs: list[Found] = []
        index = 0
        while index < len(words):
            digits, end = self._run(words, index)
            if not digits:
                index += 1
                continue
            runs.append(self._found(words, digits, index, end))
            index = end
        return sorted(runs, key=lambda run: -len(run.value))

    def _found(self, words: Words, digits: str, start: int, end: int) -> Found:
        count = len(digits.lstrip("+"))
        near = words.lower[max(0, start - 6) : start]
        if count >= self.least:
            strength = Strength.SURE
        else:
            strength = Strength.LIKELY if _MARKERS.intersection(near) and count >= 3 else Strength.BARE
        return Found(digits, start, end, strength, open_ended=True)

    def _run(self, words: Words, start: int) -> tuple[str, int]:
        """The digits from ``start`` on, as far as they go, and the index behind them."""
        digits, index, end = "", start, start
        while index < len(words) and words.free(index, index + 1):
            piece = _piece(words, index, inside=bool(digits))
            if piece is not None:
                digits += piece[0]
                index = end = piece[1]
            elif digits and words.at(index) in _BETWEEN:
                index += 1
            else:
                break
        return digits, end

    def check(self, value: Any, context: SlotContext) -> str | None:
        del context
        if len(value.lstrip("+")) > self.most:
            return "That was more digits than a telephone number has."
        return None

    def say(self, value: Any) -> str:
        """Digit by digit, in groups of three with a last one of up to four: "5 5 5, 0 1 4 2"."""
        plus, digits = ("plus ", value[1:]) if value.startswith("+") else ("", value)
        groups = []
        while len(digits) > _GROUP + 1:
            groups.append(digits[:_GROUP])
            digits = digits[_GROUP:]
        return plus + ", ".join(" ".join(group) for group in [*groups, digits] if group)

    def note(self, value: Any) -> str:
        return f"•••{value[-2:]}"

    def complete(self, value: Any) -> bool:
        return len(value.lstrip("+")) >= self.least

    def join(self, earlier: Any, later: Any) -> Any:
        """A caller who starts again from the beginning is not taken to go on."""
        return later if later.startswith(earlier) and len(earlier) > 1 else earlier + later.lstrip("+")


def _piece(words: Words, index: int, *, inside: bool) -> tuple[str, int] | None:
    token = words.at(index)
    if token in {"plus", "+"}:
        return None if inside else ("+", index + 1)
    if token in _TIMES and (digit := _digit(words.at(index + 1))):
        return digit * _TIMES[token], index + 2
    if token.isdecimal():
        return token, index + 1
    if token.replace(":", "").replace(".", "").isdecimal() and inside:
        return token.replace(":", "").replace(".", ""), index + 1  # "555 01:42"
    if digit := _digit(token):
        return digit, index + 1
    if number := cardinal(words, index):
        return str(number[0]), number[1]
    if inside and token in _HOMOPHONES and (index + 1 == len(words) or _piece(words, index + 1, inside=True)):
        return _HOMOPHONES[token], index + 1
    return None


def _digit(token: str) -> str:
    if token.isdecimal() and len(token) == 1:
        return token
    return DIGITS.get(token, "")
