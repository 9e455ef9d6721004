"""Days in callers' words, seen from Wednesday the 25th of November 2026."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.brain.slots import Date, SlotContext, Strength, Words
from callengine.errors import ConfigurationError

WEDNESDAY = date(2026, 11, 25)


def best(text: str, today: date = WEDNESDAY) -> tuple[date, Strength] | None:
    found = Date().find(Words.of(text), SlotContext(today))
    return (found[0].value, found[0].strength) if found else None


def value_of(text: str, today: date = WEDNESDAY) -> date:
    found = best(text, today)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("today", WEDNESDAY),
        ("my table for tonight.", WEDNESDAY),
        ("this evening", WEDNESDAY),
        ("tomorrow night", date(2026, 11, 26)),
        ("the day after tomorrow", date(2026, 11, 27)),
        ("this Friday", date(2026, 11, 27)),
        ("on Friday", date(2026, 11, 27)),
        ("on Sundays", date(2026, 11, 29)),
        ("this Wednesday", WEDNESDAY),
        ("Wednesday", date(2026, 12, 2)),
        ("next Friday", date(2026, 12, 4)),
        ("Friday next week", date(2026, 12, 4)),
        ("Friday week", date(2026, 12, 4)),
        ("the twenty third of December, please", date(2026, 12, 23)),
        ("the 23rd of December", date(2026, 12, 23)),
        ("December twenty third", date(2026, 12, 23)),
        ("December 23", date(2026, 12, 23)),
        ("Saturday the 28th of November", date(2026, 11, 28)),
        ("the third of January, I think", date(2027, 1, 3)),
        ("25 November", WEDNESDAY),
        ("24 November", date(2027, 11, 24)),
        ("3 January 2028", date(2028, 1, 3)),
        ("the 29th of February", date(2028, 2, 29)),
        ("Wednesday the ninth", date(2026, 12, 9)),
        ("Christmas Eve", date(2026, 12, 24)),
        ("New Year's Day", date(2027, 1, 1)),
        ("in three days", date(2026, 11, 28)),
        ("in a week", date(2026, 12, 2)),
        ("2026-12-23", date(2026, 12, 23)),
    ],
)
def test_a_day_is_plain(text: str, value: object) -> None:
    assert best(text) == (value, Strength.SURE)


def test_a_number_in_the_month_is_a_day_when_it_looks_like_one() -> None:
    assert best("on the ninth") == (date(2026, 12, 9), Strength.LIKELY)
    assert best("ninth") == (date(2026, 12, 9), Strength.BARE)
    assert best("the second may be better") == (date(2026, 12, 2), Strength.LIKELY)


@pytest.mark.parametrize(
    "text", ["", "four people", "half past seven", "the thirtieth of February", "the 32nd", "January", "the first time"]
)
def test_other_words_are_no_day(text: str) -> None:
    assert best(text) is None


def test_both_days_of_a_move_are_found() -> None:
    hits = Date().find(Words.of("from Thursday to Saturday"), SlotContext(WEDNESDAY))

    assert [hit.value.day for hit in hits] == [26, 28]


def test_days_that_cannot_be_are_refused() -> None:
    context = SlotContext(WEDNESDAY)

    assert Date().check(WEDNESDAY, context) is None
    assert Date().check(WEDNESDAY - timedelta(1), context) == "That day is already behind us."
    assert (
        Date(closed=(0, 1)).check(date(2026, 11, 30), context)
        == "I am afraid that we are closed on Mondays and Tuesdays."
    )
    assert Date(closed=(0,), refusal="Mondays are ours.").check(date(2026, 11, 30), context) == "Mondays are ours."
    assert Date(horizon=30).check(WEDNESDAY + timedelta(31), context) == "I can only plan thirty days ahead."
    assert Date(horizon=30).check(WEDNESDAY + timedelta(30), context) is None
    with pytest.raises(ConfigurationError, match="weekdays"):
        Date(closed=(7,))


def test_a_day_is_said_with_weekday_and_month() -> None:
    assert Date().say(date(2026, 11, 27)) == "Friday the 27th of November"
    assert [Date().say(date(2026, 12, day))[-15:-12] for day in (1, 2, 3, 11)] == ["1st", "2nd", "3rd", "1th"]


@given(today=st.dates(date(2024, 1, 1), date(2032, 1, 1)), ahead=st.integers(0, 300))
def test_what_is_said_is_understood_as_the_same_day(today: date, ahead: int) -> None:
    value = today + timedelta(ahead)

    assert value_of(Date().say(value), today) == value


def test_holidays_are_refused_in_any_year():
    context = SlotContext(date(2026, 11, 23))
    closed = Date(holidays=((12, 25),))
    assert closed.check(date(2026, 12, 25), context) == "I am afraid that we are closed on the 25th of December."
    assert closed.check(date(2026, 12, 26), context) is None
