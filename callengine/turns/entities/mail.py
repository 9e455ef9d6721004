"""E-mail addresses, written or spoken: "maria dot keller at example dot com"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from callengine.turns.entities.kinds import NOTHING, Progress, complete, partial
from callengine.turns.entities.letters import read_letters
from callengine.turns.entities.names import bare
from callengine.turns.phrases import Phrases, normal

_TOKEN = re.compile(r"@|(?<=\w)\.(?=\w)|[\w+'’-]+")
_AT = frozenset({"@", "at", "ät", "arroba", "arobase", "chiocciola", "apenstaartje"})
_DOT = frozenset({".", "dot", "punkt", "point", "punto", "ponto", "punt", "period"})
_INSIDE = frozenset({"underscore", "dash", "hyphen", "unterstrich", "minus", "gmail", "hotmail", "outlook", "yahoo"})
_GOES_ON = frozenset({"co", "ac", "gov", "edu"})
"""Endings that often have a country behind them."""


def email(text: str, length: int | None, phrases: Phrases) -> Progress:
    """Complete as something at something dot a top-level domain; ``length`` has no meaning."""
    del length
    words = _TOKEN.findall(text.lower())
    ats = [index for index, word in enumerate(words) if word in _AT]
    if ats and any(word in _DOT for word in words[ats[-1] :]):
        return _behind_at(words[: ats[-1]], words[ats[-1] + 1 :])
    if "@" in words or any(word in _DOT or word in _INSIDE for word in words):
        return partial("an address without its domain")
    if _may_begin(text, ats, phrases):
        return partial("perhaps the beginning of an address")
    return NOTHING


def _behind_at(local: Sequence[str], domain: Sequence[str]) -> Progress:
    dot = max(index for index, word in enumerate(domain) if word in _DOT)
    ending = domain[dot + 1] if dot + 1 < len(domain) else ""
    if dot == 0 or len(ending) < 2 or not ending.isalpha():
        return partial("an address without its ending")
    if not local:
        return partial("the domain of an address, without what stands before it")
    if ending in _GOES_ON and dot + 2 == len(domain):
        return partial(f"an ending that may go on: {ending!r}")
    return complete("a whole address")


def _may_begin(text: str, ats: Sequence[int], phrases: Phrases) -> bool:
    """Whether these could be the first words of an address, and are no sentence."""
    words = normal(text).split()
    if len(read_letters(text)) > 1 or any(any(char.isdecimal() for char in word) for word in words):
        return True
    if ats:
        words = words[: next((index for index, word in enumerate(words) if word in _AT), 0)]
    names = bare(words, phrases)
    return names is not None and len(names) <= 3
