"""Times of the day in callers' words."""

from datetime import date, time

import pytest

from callengine.brain.slots import SlotContext, Strength, Time, Words
from callengine.errors import ConfigurationError

TODAY = SlotContext(date(2026, 11, 25))
EVENING = Time(time(12), time(21, 30))


def best(text: str, kind: Time = EVENING) -> tuple[time, Strength] | None:
    found = kind.find(Words.of(text), TODAY)
    return (found[0].value, found[0].strength) if found else None


def value_of(text: str, kind: Time = EVENING) -> time:
    found = best(text, kind)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("this Friday at half past seven.", time(19, 30)),
        ("7.30", time(19, 30)),
        ("7:30", time(19, 30)),
        ("19:30", time(19, 30)),
        ("half seven", time(19, 30)),
        ("a quarter to eight", time(19, 45)),
        ("quarter past one", time(13, 15)),
        ("ten past eight", time(20, 10)),
        ("twenty to nine", time(20, 40)),
        ("quarter to one", time(12, 45)),
        ("at eight", time(20)),
        ("around 8", time(20)),
        ("eight o'clock", time(20)),
        ("yes, seven o’clock would be better", time(19)),
        ("8pm", time(20)),
        ("8 p.m. please", time(20)),
        ("8:15 pm", time(20, 15)),
        ("twelve pm", time(12)),
        ("eight o'clock in the evening", time(20)),
        ("seven fifteen tonight", time(19, 15)),
        ("noon", time(12)),
    ],
)
def test_a_time_is_plain(text: str, value: object) -> None:
    assert best(text) == (value, Strength.SURE)


@pytest.mark.parametrize(
    ("text", "value", "strength"),
    [
        ("seven thirty", time(19, 30), Strength.LIKELY),
        ("nineteen thirty", time(19, 30), Strength.LIKELY),
        ("eight oh five", time(20, 5), Strength.LIKELY),
        ("eight", time(20), Strength.BARE),
        ("730", time(19, 30), Strength.BARE),
    ],
)
def test_figures_alone_are_a_time_only_when_asked(text: str, value: object, strength: Strength) -> None:
    assert best(text) == (value, strength)


@pytest.mark.parametrize("text", ["", "zero", "the twenty third of December".replace("twenty third", "31st"), "hello"])
def test_other_words_are_no_time(text: str) -> None:
    assert best(text) is None


def test_a_number_of_people_is_no_plain_time() -> None:
    hits = EVENING.find(Words.of("four to six people"), TODAY)

    assert all(hit.strength is Strength.BARE for hit in hits)


def test_the_bounds_decide_between_morning_and_evening() -> None:
    assert value_of("at nine", Time(time(7), time(11))) == time(9)
    assert value_of("at nine", EVENING) == time(21)
    assert value_of("at nine", Time()) == time(9)
    assert value_of("at five", Time()) == time(17)
    assert value_of("nine in the morning", EVENING) == time(9)


def test_a_time_out_of_bounds_is_refused_with_the_bounds() -> None:
    assert EVENING.check(time(21, 30), TODAY) is None
    assert EVENING.check(time(9), TODAY) == "It has to be between noon and half past nine."
    assert Time(time(12), time(14), refusal="Lunch only.").check(time(20), TODAY) == "Lunch only."


@pytest.mark.parametrize(
    ("value", "spoken"),
    [
        (time(19, 30), "half past seven"),
        (time(19, 15), "quarter past seven"),
        (time(19, 45), "quarter to eight"),
        (time(12, 45), "quarter to one"),
        (time(20), "eight o'clock"),
        (time(20, 5), "eight oh five"),
        (time(20, 40), "eight forty"),
        (time(12), "noon"),
    ],
)
def test_a_time_is_said_as_people_say_it(value: object, spoken: str) -> None:
    assert EVENING.say(value) == spoken


def test_morning_is_said_where_it_could_be_meant() -> None:
    assert Time().say(time(9)) == "nine o'clock in the morning"
    assert Time().say(time(0)) == "midnight"
    assert Time().say(time(21)) == "nine o'clock"


def test_bounds_the_wrong_way_round_are_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="earliest"):
        Time(time(20), time(12))
