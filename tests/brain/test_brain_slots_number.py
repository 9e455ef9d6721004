"""Counts in callers' words."""

import datetime

import pytest

from callengine.brain.slots import Number, SlotContext, Strength, Words

TODAY = SlotContext(datetime.date(2026, 11, 25))
PEOPLE = Number.of_people(maximum=12)


def best(kind: Number, text: str) -> tuple[int, Strength] | None:
    found = kind.find(Words.of(text), TODAY)
    return (found[0].value, found[0].strength) if found else None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a table for four people this Friday at half past seven", 4),
        ("A table for two, please.", 2),
        ("a table for too", 2),
        ("party of 12", 12),
        ("we are a group of eleven, three of us are vegetarians", 11),
        ("eight or nine of us", 9),
        ("just me", 1),
        ("the two of us", 2),
        ("Sorry, actually, make it six people.", 6),
        ("twenty three guests", 23),
        ("twenty-three guests", 23),
    ],
)
def test_a_count_of_people_is_plain(text: str, value: object) -> None:
    assert best(PEOPLE, text) == (value, Strength.SURE)


def test_for_two_is_likely_and_two_alone_is_only_an_answer() -> None:
    assert best(PEOPLE, "tomorrow night for two") == (2, Strength.LIKELY)
    assert best(PEOPLE, "for a couple") == (2, Strength.LIKELY)
    assert best(PEOPLE, "four") == (4, Strength.BARE)


@pytest.mark.parametrize("text", ["for eight o'clock", "for 8 pm", "half past", "on the third", "hello", ""])
def test_other_numbers_are_no_count(text: str) -> None:
    assert best(PEOPLE, text) is None


def test_a_token_that_another_slot_took_is_not_read_again() -> None:
    words = Words.of("at eight").using(1, 2)

    assert PEOPLE.find(words, TODAY) == []


def test_bounds_hold_and_are_said() -> None:
    boxes = Number(one="box", many="boxes", minimum=2, maximum=9)

    assert [boxes.check(count, TODAY) for count in (2, 9)] == [None, None]
    assert boxes.check(1, TODAY) == boxes.check(10, TODAY) == "It has to be between two and nine."
    assert PEOPLE.check(13, TODAY) is not None
    assert Number.of_people(minimum=2).check(1, TODAY) is not None
    assert Number(maximum=3, refusal="Three at most.").check(4, TODAY) == "Three at most."


def test_what_is_counted_is_the_users_choice() -> None:
    boxes = Number(one="box", many="boxes", also=("crates",), after=("order of",))

    assert best(boxes, "three boxes and a half") == (3, Strength.SURE)
    assert best(boxes, "five crates") == (5, Strength.SURE)
    assert best(boxes, "an order of 7") == (7, Strength.SURE)
    assert best(boxes, "for seven") == (7, Strength.BARE)
    assert best(boxes, "just me") is None


def test_a_count_is_said_in_words() -> None:
    assert PEOPLE.say(1) == "one person"
    assert PEOPLE.say(4) == "four people"
    assert Number().say(42) == "forty-two"
    assert Number().say(250) == "250"
    assert PEOPLE.hint == "four people"
