"""Letters as they are spelled: "H, A, double R", "aitch", "B as in Boris", "Hotel Alpha"."""

from __future__ import annotations

import re

from callengine.turns.entities.kinds import word_set

_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+")
_NAMES = {
    "aitch": "h",
    "haitch": "h",
    "zed": "z",
    "zee": "z",
    "jay": "j",
    "kay": "k",
    "ess": "s",
    "vee": "v",
    "dee": "d",
    "gee": "g",
    "tee": "t",
    "cee": "c",
    "eff": "f",
    "ell": "l",
    "cue": "q",
    "ypsilon": "y",
}
_CODE_WORDS = word_set(
    "alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar papa "
    "quebec romeo sierra tango uniform victor whiskey whisky xray yankee zulu"
)
"""The spelling alphabet of the ICAO, each word for its first letter."""
_TIMES = {"double": 2, "triple": 3, "doppel": 2, "doble": 2, "doppio": 2, "dubbel": 2}
_AS_IN = frozenset({"for", "like", "wie", "de", "comme", "come", "van"})
_WORDS = frozenset({"a", "i", "o", "e", "y", "à", "è", "é", "ó"})
"""Letters that are words too: alone they are no spelling."""


def read_letters(text: str, *, code_words: bool = True) -> str:
    """The letters spelled in a text, in lower case; with ``code_words`` also "Hotel Alpha" and "HARR" in capitals."""
    words = _TOKEN.findall(text)
    runs: list[str] = [""]
    index = 0
    while index < len(words):
        letters, used = _letters_at(words, index, code_words)
        if letters:
            runs[-1] += letters
        elif runs[-1]:
            runs.append("")
        index += used
    only = len(words) == 1
    return "".join(run for run in runs if only or run not in _WORDS)


def _letters_at(words: list[str], index: int, code_words: bool) -> tuple[str, int]:
    """The letters that word ``index`` stands for, if any, and how many words were read."""
    word = words[index].lower()
    if word in _TIMES and index + 1 < len(words):
        if word == "double" and words[index + 1].lower() in {"u", "you"}:
            return "w", 2
        letters, used = _letters_at(words, index + 1, code_words)
        return (letters * _TIMES[word], used + 1) if len(letters) == 1 else ("", 1)
    letters = _letters(words[index], code_words)
    if len(letters) != 1:
        return letters, 1
    return letters, 1 + _explained(words, index, letters)


def _letters(word: str, code_words: bool) -> str:
    if len(word) == 1 and word.isalpha():
        return word.lower()
    if word.lower() in _NAMES:
        return _NAMES[word.lower()]
    if not code_words:
        return ""
    if word.lower() in _CODE_WORDS:
        return word[0].lower()
    return word.lower() if word.isupper() and "'" not in word else ""


def _explained(words: list[str], index: int, letter: str) -> int:
    """How many words after a letter only say which one it is ("as in Boris")."""
    after = [word.lower() for word in words[index + 1 : index + 4]]
    if len(after) == 3 and after[:2] == ["as", "in"] and after[2].startswith(letter):
        return 3
    return 2 if len(after) > 1 and after[0] in _AS_IN and len(after[1]) > 1 and after[1].startswith(letter) else 0
