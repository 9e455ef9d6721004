"""Choices and free words, and how tokens are made."""

import datetime

import pytest

from callengine.brain.slots import Choice, SlotContext, Text, Words
from callengine.errors import ConfigurationError

TODAY = SlotContext(datetime.date(2026, 11, 25))
SIZES = {"small": ("small", "a little one"), "large": ("large", "big")}


def test_a_choice_is_the_first_of_its_phrases_that_was_said() -> None:
    found = Choice(SIZES).find(Words.of("a big one, no, a little one"), TODAY)

    assert [hit.value for hit in found] == ["large", "small"]
    assert Choice(SIZES).say("large") == "large"
    assert Choice(SIZES).join("small", "large") == "large"


def test_many_choices_grow() -> None:
    wishes = Choice(SIZES, many=True)
    found = wishes.find(Words.of("a big and a small one"), TODAY)

    assert [hit.value for hit in found] == [("large", "small")]
    assert wishes.accumulates
    assert wishes.join(("small",), ("large", "small")) == ("small", "large")
    assert wishes.say(("small", "medium", "large")) == "small, medium and large"


def test_a_choice_of_nothing_is_a_mistake() -> None:
    for options in ({}, {"small": ()}):
        with pytest.raises(ConfigurationError, match="at least one option"):
            Choice(options)


def test_free_words_are_taken_whole() -> None:
    assert Text().find(Words.of("It is about my car. It rattles!"), TODAY)[0].value == "It is about my car. It rattles"
    assert Text().find(Words.of("Car."), TODAY) == []
    assert Text(least=1).find(Words.of("Car."), TODAY)[0].value == "Car"


def test_tokens_keep_times_dates_and_numbers_together() -> None:
    words = Words.of("At 7.30 p.m. on 2026-12-23, +44 555-0142; O'Brien’s 23rd")

    assert words.lower == ("at", "7.30", "pm", "on", "2026-12-23", "+", "44", "555", "0142", "o'brien's", "23rd")
    assert words.raw[-2] == "O'Brien's"
    assert {4, 8} <= words.breaks
