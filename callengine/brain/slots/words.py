"""A caller's turn as tokens, and the numerals in it.

Written for transcripts: with or without punctuation and capitals, numbers as digits or as words.
"""

from __future__ import annotations

import re

import attrs

_TOKEN = re.compile(
    r"\d{4}-\d{2}-\d{2}|\d{1,2}[:.]\d{2}(?!\d)|\d+(?:st|nd|rd|th)?(?![a-z])|\d+|\+|[^\W\d_]+(?:['’][^\W\d_]+)*",
    re.IGNORECASE,
)
_HALF_DAY = re.compile(r"\b([ap])\s?\.?\s?m\b\.?|(?<=\d)([ap])m\b", re.IGNORECASE)


def listed(text: str) -> tuple[str, ...]:
    """The words of a table that reads better as text."""
    return tuple(text.split())


_UNITS = dict(zip(listed("zero one two three four five six seven eight nine"), range(10), strict=True))
_TEENS = dict(
    zip(
        listed("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"),
        range(10, 20),
        strict=True,
    )
)
_TENS = dict(zip(listed("twenty thirty forty fifty sixty seventy eighty ninety"), range(20, 100, 10), strict=True))
_ORDINAL_UNITS = dict(
    zip(listed("first second third fourth fifth sixth seventh eighth ninth"), range(1, 10), strict=True)
)
_ORDINAL_TEENS = dict(
    zip(
        listed("tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"),
        range(10, 20),
        strict=True,
    )
)
_ORDINAL_TENS = {"twentieth": 20, "thirtieth": 30}
_WORDS = {number: word for word, number in {**_UNITS, **_TEENS, **_TENS}.items()}

DIGITS = {**{word: str(value) for word, value in _UNITS.items()}, "oh": "0", "o": "0", "nought": "0", "naught": "0"}
"""What callers say for one digit of a telephone number."""


@attrs.frozen
class Words:
    """A turn, token by token. ``lower`` and ``raw`` have the same length; ``breaks`` are the tokens (indices) with
    punctuation behind them; ``used`` those that another slot has taken."""

    text: str
    raw: tuple[str, ...]
    lower: tuple[str, ...]
    breaks: frozenset[int]
    used: frozenset[int] = frozenset()

    @classmethod
    def of(cls, text: str) -> Words:
        """The tokens of ``text``: words, numbers, times such as 7.30, ISO dates, and the plus sign."""
        tidy = _HALF_DAY.sub(lambda m: f" {(m[1] or m[2]).lower()}m ", text.replace("’", "'"))
        matches = list(_TOKEN.finditer(tidy))
        breaks = set()
        for index, match in enumerate(matches):
            following = matches[index + 1].start() if index + 1 < len(matches) else len(tidy)
            if re.search(r"[.,;:!?]", tidy[match.end() : following]):
                breaks.add(index)
        raw = tuple(match[0] for match in matches)
        return cls(text, raw, tuple(token.lower() for token in raw), frozenset(breaks))

    def __len__(self) -> int:
        return len(self.lower)

    def at(self, index: int) -> str:
        """The token, in lower case, or "" outside the text."""
        return self.lower[index] if 0 <= index < len(self.lower) else ""

    def starts(self, index: int, *phrase: str) -> bool:
        """Whether ``phrase`` stands at ``index``."""
        return index >= 0 and self.lower[index : index + len(phrase)] == phrase

    def ends(self, index: int, *phrase: str) -> bool:
        """Whether ``phrase`` ends just before ``index``."""
        return self.starts(index - len(phrase), *phrase)

    def free(self, start: int, end: int) -> bool:
        """Whether no other slot has taken any of these tokens."""
        return not any(index in self.used for index in range(start, end))

    def using(self, start: int, end: int) -> Words:
        """The same turn with these tokens taken."""
        return attrs.evolve(self, used=self.used | frozenset(range(start, end)))


def cardinal(words: Words, index: int) -> tuple[int, int] | None:
    """The number that starts at ``index`` ("twenty three", "23") and the index behind it, or None. Below 1000."""
    token = words.at(index)
    if token.isdecimal():
        return (int(token), index + 1) if len(token) <= 3 else None
    if token in _TENS:
        unit = _UNITS.get(words.at(index + 1), 0)
        return (_TENS[token] + unit, index + 2) if unit else (_TENS[token], index + 1)
    for table in (_UNITS, _TEENS):
        if token in table:
            return table[token], index + 1
    return None


def ordinal(words: Words, index: int) -> tuple[int, int] | None:
    """The ordinal that starts at ``index`` ("twenty third", "23rd") and the index behind it, or None."""
    token = words.at(index)
    if re.fullmatch(r"\d+(st|nd|rd|th)", token):
        return int(token[:-2]), index + 1
    if token in _TENS and (unit := _ORDINAL_UNITS.get(words.at(index + 1))):
        return _TENS[token] + unit, index + 2
    for table in (_ORDINAL_UNITS, _ORDINAL_TEENS, _ORDINAL_TENS):
        if token in table:
            return table[token], index + 1
    return None


def in_words(number: int) -> str:
    """A number as people write it for reading aloud: words up to ninety-nine, digits above."""
    if number in _WORDS:
        return _WORDS[number]
    if 20 < number < 100:
        return f"{_WORDS[number - number % 10]}-{_WORDS[number % 10]}"
    return str(number)


def as_ordinal(number: int) -> str:
    """ "27th" for 27."""
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
