"""What words mean for taking turns: "mm-hm" goes on, "wait" stops, and a caption is nobody's speech.

Everything is about whole phrases in the form that `normal` gives them, so that spelling, capitals and punctuation,
which recognisers handle as they like, do not matter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

import attrs

from callengine.errors import ConfigurationError
from callengine.turns.numerals import numerals
from callengine.turns.wordlists import LANGUAGES

_BRACKETED = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|\{[^{}]*\}|<[^<>]*>|\*[^*]+\*|♪[^♪]*♪")
_STRETCHED = re.compile(r"(.)\1{2,}")
_PLAIN = frozenset(
    {
        *("yes", "no", "okay", "ok", "thanks", "thank you", "no thanks", "bye", "bye bye", "goodbye", "ja", "nein"),
        *("danke", "sí", "si", "gracias", "oui", "non", "merci", "sì", "grazie", "nee", "bedankt", "sim", "não"),
    }
)
"""Answers in brackets are how some recognisers write what they are unsure of."""


class _Spoken(dict[int, str]):
    """For `str.translate`: letters with their marks, numbers and apostrophes stay, everything else parts words."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        kept = unicodedata.category(char)[0] in "LMN"
        self[code] = "'" if char in "'’‘ʼ`" else char if kept else " "
        return self[code]


_SPOKEN = _Spoken()


def normal(text: str) -> str:
    """The words of ``text``: lower case, NFKC, without punctuation, one space between words.

    Apostrophes inside words stay ("don't"), hyphens part words ("mm-hm" is "mm hm"). Empty where there are no words.
    """
    text = unicodedata.normalize("NFKC", text).lower()
    words = (word.strip("'") for word in unicodedata.normalize("NFKC", text).translate(_SPOKEN).split())
    return " ".join(word for word in words if word)


def _several(phrases: Iterable[str]) -> Iterable[str]:
    if isinstance(phrases, str):
        raise ConfigurationError(f"{phrases!r} is one string: give a list of phrases")
    return phrases


def _phrases(phrases: Iterable[str]) -> frozenset[str]:
    return frozenset(words for words in map(normal, _several(phrases)) if words)


def _captions(phrases: Iterable[str]) -> frozenset[str]:
    # Brackets are artefacts as such: without them "[music]" would drop a caller's "Music."
    return _phrases([_BRACKETED.sub(" ", phrase) for phrase in _several(phrases)])


def _how_many(phrases: Iterable[str]) -> str:
    return f"<{len(list(phrases))} phrases>"


def _field(convert: object = _phrases) -> frozenset[str]:
    field: frozenset[str] = attrs.field(factory=frozenset, converter=convert, repr=_how_many)  # type: ignore[call-overload]  # any iterable
    return field


@attrs.frozen(kw_only=True)
class Phrases:
    """The words of turn-taking in one language. Any spelling may be given: they are kept as `normal` writes them.

    The last phrase of a sentence decides whether it can be its end: of the listed phrases that it ends with, the
    longest counts. So "is" is an opener, and "yes it is" closed. Raises `ConfigurationError` for a string in place of a
    list.
    """

    backchannels: frozenset[str] = _field()
    """What a listener says to mean "go on": "mm-hm", "okay"."""
    stop_words: frozenset[str] = _field()
    """What cuts an agent at once: "stop", "hold on"."""
    artefacts: frozenset[str] = _field(_captions)
    """Captions that recognisers write into silence: "thanks for watching"."""
    openers: frozenset[str] = _field()
    """What no statement ends with: articles, prepositions, conjunctions, possessives, auxiliaries, "I would like"."""
    closed: frozenset[str] = _field()
    """Endings that are complete although their last word is an opener: "yes it is", "hold on"."""
    fillers: frozenset[str] = _field()
    """What keeps the turn while its speaker thinks: "um", "let me see"."""
    binding: frozenset[str] = _field()
    """The openers that not even a question ends with: "the", "my", "because"."""
    asking: frozenset[str] = _field()
    """What lets a sentence end with a verb or a preposition: "know where" ("... the entrance is"), "who is" ("... it
    for")."""
    beginnings: frozenset[str] = _field()
    """Openers where they are the whole sentence, and no more than that: "I think", "could I have"."""
    greetings: frozenset[str] = _field()
    """What a caller begins with before he says what he wants."""
    leads: frozenset[str] = _field()
    """What stands before the sentence that is meant: "hello", "well", "sorry"."""
    numerals: Mapping[str, str] = attrs.field(factory=dict, converter=MappingProxyType, hash=False, repr=False)
    """Spoken numbers below a hundred as digits: "seven" is "7"."""
    longest: int = attrs.field(init=False, eq=False, repr=False)
    """Words of the longest phrase."""

    @longest.default
    def _words_of_longest(self) -> int:
        lists = (getattr(self, name) for name in _LISTS)
        return max((phrase.count(" ") + 1 for phrases in lists for phrase in phrases), default=0)

    def extended(self, **more: Iterable[str]) -> Phrases:
        """These and more: ``extended(stop_words=["basta"])``. Raises `ConfigurationError` for an unknown list."""
        for name in more:
            if name not in _LISTS:
                raise ConfigurationError(f"there are no phrases {name!r}: give {', '.join(_LISTS)}")
        return attrs.evolve(self, **{name: [*getattr(self, name), *_several(more[name])] for name in more})  # type: ignore[arg-type]  # the converters take any iterable

    def skippable(self, word: str) -> bool:
        """Whether a word at the beginning says nothing about what follows it."""
        return word in self.leads or word in self.fillers or word in self.backchannels


_LISTS = (
    *("backchannels", "stop_words", "artefacts", "openers", "closed"),
    *("fillers", "binding", "asking", "beginnings", "greetings", "leads"),
)


@lru_cache(maxsize=64)
def phrases_for(language: str) -> Phrases:
    """The phrases of a language, by its BCP 47 tag ("en-GB"): English, German, Spanish, French, Italian, Dutch and
    Portuguese. Of any other language nothing is known: its lists are empty, and can be `Phrases.extended`."""
    base = language.replace("_", "-").split("-")[0].lower()
    lists = {name: phrases.split(",") for name, phrases in LANGUAGES.get(base, {}).items()}
    return Phrases(**lists, numerals=numerals(base))  # type: ignore[arg-type]  # the converters take any iterable


def consists_of(words: Sequence[str], phrases: frozenset[str], longest: int) -> bool:
    """Whether these words are nothing but phrases of the list, in any order and as often as one likes."""
    reached = {0}
    for start in range(len(words)):
        if start in reached:
            ends = range(start + 1, min(len(words), start + longest) + 1)
            reached.update(end for end in ends if " ".join(words[start:end]) in phrases)
    return bool(words) and len(words) in reached


def is_backchannel(text: str, phrases: Phrases) -> bool:
    """Whether the whole utterance is backchannels, and so means "go on". "Okay, okay" is, "okay but" is not.

    "Yes" is one: whether it is an answer depends on what the agent was doing, which words do not tell.
    """
    words = _STRETCHED.sub(r"\1\1", normal(text)).split()
    return consists_of(words, phrases.backchannels, phrases.longest)


def stop_word(text: str, phrases: Phrases) -> str | None:
    """The phrase of this utterance that cuts an agent at once; None if it has none.

    It stands at the beginning, behind nothing but "oh" or "okay" or the like, or is said twice in a row. "I can't wait"
    has none.
    """
    words = normal(text).split()
    start = 0
    while start < len(words):
        found = _listed(words, start, phrases.stop_words, phrases.longest)
        if found is not None:
            return found
        if not phrases.skippable(words[start]):
            break
        start += 1
    return _repeated(words, phrases)


def _listed(words: Sequence[str], start: int, phrases: frozenset[str], longest: int) -> str | None:
    """The longest phrase of the list that begins with word ``start``."""
    for end in range(min(len(words), start + longest), start, -1):
        if (phrase := " ".join(words[start:end])) in phrases:
            return phrase
    return None


def _repeated(words: Sequence[str], phrases: Phrases) -> str | None:
    for size in (1, 2, 3):
        for start in range(len(words) - 2 * size + 1):
            if words[start] != words[start + size]:
                continue
            again = words[start : start + size]
            if again == words[start + size : start + 2 * size] and " ".join(again) in phrases.stop_words:
                return " ".join(again)
    return None


def is_artefact(text: str, phrases: Phrases) -> bool:
    """Whether a recogniser wrote this into silence or noise: a caption ("thanks for watching"), a noise in brackets
    ("[music]"), musical notes.

    An answer is none, not even in brackets, nor are digits. Neither is an empty text, which is nothing at all.
    """
    rest = _BRACKETED.sub(" ", text)
    words = normal(rest).split()
    if words:
        return consists_of(words, phrases.artefacts, phrases.longest)
    inside = normal(text)
    if not inside:
        return "♪" in text or "♫" in text
    return not (_is_answer(inside, phrases) or any(char.isdigit() for char in inside))


def _is_answer(words: str, phrases: Phrases) -> bool:
    return words in _PLAIN or stop_word(words, phrases) is not None or is_backchannel(words, phrases)
