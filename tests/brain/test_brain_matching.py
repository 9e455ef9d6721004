"""Both matchers, on the intents of the bookings flow."""

import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from callengine.brain.flows import bookings
from callengine.brain.matching import (
    ENCODER_THRESHOLD,
    LEXICAL_THRESHOLD,
    IntentMatcher,
    LexicalMatcher,
    Match,
    Ranking,
)
from callengine.brain.slots import Words

PHRASINGS = {
    "book": (
        "I'd like to reserve a table for Saturday evening", "have you got a table for five tonight",
        "can we come for dinner on Sunday", "is it possible to book for eight people next week",
        "I want to make a reservation please", "could you squeeze in two people at eight",
        "hi can I book a table for too tonight",
    ),
    "cancel": (
        "I have to cancel our booking for Friday", "we won't be able to come tonight",
        "please cancel the reservation under Harrison", "I don't need my table anymore",
        "can you take our reservation off the list",
    ),
    "change": (
        "I want to move my booking to another day", "can we come an hour later",
        "could you change our reservation to eight people", "is it possible to reschedule our table",
        "we would like to come at nine instead of eight",
    ),
    "hours": (
        "when are you open", "do you open for lunch", "what time does the kitchen close", "are you open on Monday",
        "how long are you open tonight",
    ),
    "where": (
        "what's the address please", "how do I find you", "is there a place to park", "can I park near the restaurant",
        "which street is it",
    ),
    "menu": (
        "do you serve vegan food", "what can I eat at your place", "have you got something without gluten",
        "what's on the menu today", "is there anything for children",
    ),
    "price": (
        "how much does the menu cost", "what are the prices", "is it expensive",
        "how much do you charge for the tasting menu",
    ),
    "person": (
        "can I talk to somebody", "I want to speak with a human being", "please connect me with the manager",
        "is there a real person I can talk to",
    ),
    "again": (
        "can you say that again", "sorry what did you say", "could you repeat that please", "I didn't catch that",
    ),
    "goodbye": ("bye bye", "thanks bye", "that's all thank you", "have a good evening goodbye"),
    "lost": ("did anyone find a grey scarf", "I forgot my umbrella in your restaurant"),
    None: (
        "what's the weather like tomorrow", "can you order me a taxi", "do you know a good plumber",
        "my computer does not start", "who won the football match",
    ),
}  # fmt: skip
"""Sentences that are no examples of the flow; those under None are out of its scope."""


class BagOfWords:
    """A deterministic encoder: hashed words, unit length. Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls.append(list(texts))
        vectors = np.zeros((len(texts), 512), np.float32)
        for row, text in enumerate(texts):
            for word in Words.of(text).lower:
                vectors[row, zlib.crc32(word.encode()) % 512] += 1
        lengths = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
        unit: NDArray[np.float32] = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
        return unit


async def test_the_lexical_matcher_finds_the_intent_of_new_phrasings() -> None:
    matcher = LexicalMatcher(bookings().examples)
    wrong = []
    for intent, sentences in PHRASINGS.items():
        for sentence in sentences:
            best = (await matcher.rank(sentence)).best
            if (best.intent if best else None) != intent:
                wrong.append((sentence, best))

    total = sum(map(len, PHRASINGS.values()))
    assert len(wrong) <= 0.2 * total, wrong


async def test_examples_are_found_by_both_matchers_whatever_their_writing() -> None:
    examples = bookings().examples
    matchers = LexicalMatcher(examples), await IntentMatcher.prepare(BagOfWords(), examples)
    for matcher in matchers:
        for intent, sentences in examples.items():
            for sentence in sentences:
                ranking = await matcher.rank(f"{sentence.capitalize()}!")
                assert ranking.best is not None
                assert ranking.best.intent == intent
                assert ranking.is_strong(ranking.best)


async def test_a_day_or_a_number_does_not_change_the_intent() -> None:
    matcher = LexicalMatcher({"book": ["a table for two on Friday"], "hours": ["are you open on Sundays"]})

    best = (await matcher.rank("a table for 7 on Tuesday")).matches[0]
    assert best.intent == "book"
    assert best.score == pytest.approx(1.0)


async def test_unknown_words_make_a_sentence_less_like() -> None:
    matcher = LexicalMatcher({"hours": ["when are you open"], "where": ["where are you"]})
    plain = (await matcher.rank("when are you open")).matches[0].score
    diluted = (await matcher.rank("when are you open minded enough to discuss philosophy")).matches[0].score

    assert plain == pytest.approx(1.0)
    assert diluted < 0.7


async def test_the_sentence_that_matters_is_found_among_others() -> None:
    matcher = LexicalMatcher({"hours": ["when do you open"], "hello": ["good evening"]})

    ranking = await matcher.rank("Good evening. My sister told me about your house. When do you open?")

    assert ranking.matches[0].intent == "hours"


async def test_the_encoder_is_asked_once_for_the_examples_and_once_a_turn() -> None:
    encoder = BagOfWords()
    matcher = await IntentMatcher.prepare(encoder, {"hours": ["when do you open"], "where": ["where are you"]})

    await matcher.rank("where are you")
    await matcher.rank("")

    assert encoder.calls == [["when do you open", "where are you"], ["where are you"]]


async def test_what_is_like_nothing_is_none_of_the_intents() -> None:
    examples = {"hours": ["when do you open"], "where": ["where are you"]}
    for matcher, threshold in (
        (LexicalMatcher(examples), LEXICAL_THRESHOLD),
        (await IntentMatcher.prepare(BagOfWords(), examples), ENCODER_THRESHOLD),
    ):
        ranking = await matcher.rank("purple elephants dance")
        assert ranking.threshold == threshold
        assert ranking.best is None
        assert (await matcher.rank("  ")).best is None


def test_a_ranking_says_what_counts() -> None:
    ranking = Ranking((Match("a", 0.5), Match("b", 0.3)), threshold=0.4, strong=0.6)

    assert ranking.best == Match("a", 0.5)
    assert not ranking.is_strong(ranking.best)
    assert not ranking.is_strong(None)
    assert Ranking((Match("a", 0.39),), threshold=0.4, strong=0.6).best is None
