"""Telephone numbers as they are dictated."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.brain.slots import Phone, SlotContext, Strength, Words

TODAY = SlotContext(datetime.date(2026, 11, 25))


def best(text: str) -> tuple[str, Strength] | None:
    found = Phone().find(Words.of(text), TODAY)
    return (found[0].value, found[0].strength) if found else None


def value_of(text: str) -> str:
    found = best(text)
    assert found is not None
    return found[0]


def strength_of(text: str) -> Strength:
    found = best(text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("five five five zero one four two", "5550142"),
        ("five five five, oh one four two.", "5550142"),
        ("My number is 555 0142.", "5550142"),
        ("555-0142", "5550142"),
        ("5550142", "5550142"),
        ("nine eight seven, double six one three", "9876613"),
        ("triple five zero one four two", "5550142"),
        ("plus four four seven nine one one", "+447911"),
        ("+44 7911 123456", "+447911123456"),
        ("five five five oh won for two", "5550142"),
        ("5 5 5, and then 0 1 4 2", "5550142"),
        ("0 20 79 46 0018", "020794600 18".replace(" ", "")),
    ],
)
def test_digits_are_read_however_they_are_said(text: str, digits: str) -> None:
    assert value_of(text) == digits


def test_seven_digits_are_a_number_and_fewer_are_a_part_of_one() -> None:
    phone = Phone()

    assert strength_of("five five five zero one four two") is Strength.SURE
    assert strength_of("five five five") is Strength.BARE
    assert strength_of("my phone number is five five five") is Strength.LIKELY
    assert [phone.complete(value) for value in ("555", "+44791", "5550142")] == [False, False, True]
    assert Phone(least=5).complete("55501")


def test_parts_are_joined_and_a_fresh_start_is_not() -> None:
    phone = Phone()

    assert phone.join("555", "0142") == "5550142"
    assert phone.join("+44", "7911123456") == "+447911123456"
    assert phone.join("555", "5550142") == "5550142"


@pytest.mark.parametrize("text", ["", "hello", "it is maria dot keller", "to be or not to be"])
def test_other_words_are_no_number(text: str) -> None:
    assert best(text) is None


def test_too_many_digits_are_refused() -> None:
    assert Phone().check("1" * 15, TODAY) is None
    assert Phone().check("1" * 16, TODAY) == "That was more digits than a telephone number has."
    assert Phone(most=8).check("123456789", TODAY) is not None


def test_a_number_is_said_in_groups_and_noted_masked() -> None:
    assert Phone().say("5550142") == "5 5 5, 0 1 4 2"
    assert Phone().say("+447911123456") == "plus 4 4 7, 9 1 1, 1 2 3, 4 5 6"
    assert Phone().note("5550142") == "•••42"


@given(st.text("0123456789", min_size=7, max_size=15))
def test_what_is_said_is_understood_as_the_same_number(digits: str) -> None:
    assert value_of(Phone().say(digits)) == digits
