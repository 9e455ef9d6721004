"""Comparing words that a recogniser wrote with those that were said."""

from __future__ import annotations

import re

from callengine.testing.demo.script import Words

_DIGITS = {
    word: str(digit)
    for digit, word in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
} | {"oh": "0"}


def fits(words: Words, text: str) -> bool:
    """Whether the text has these words in this order: of each, any of the variants. Case, punctuation and whether
    digits are spelt out do not matter."""
    rest = f" {_plain(text)} "
    for variants in words:
        places = [rest.find(f" {_plain(variant)} ") for variant in variants]
        ends = [place + len(_plain(v)) + 1 for place, v in zip(places, variants, strict=True) if place >= 0]
        if not ends:
            return False
        rest = rest[min(ends) :]
    return True


def digits(text: str) -> str:
    """The digits in the text, spelt out or not, in order."""
    return re.sub(r"\D", "", _plain(text))


def _plain(text: str) -> str:
    words = re.findall(r"[a-z0-9']+", text.lower().replace("’", "'"))
    return " ".join(_DIGITS.get(word, word) for word in words)
