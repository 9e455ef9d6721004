"""A day to come: "this Friday", "tomorrow night", "the twenty third of December", "Wednesday the ninth"."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import attrs

from callengine.brain.slots.base import Found, SlotContext, SlotKind, Strength
from callengine.brain.slots.words import Words, as_ordinal, cardinal, in_words, listed, ordinal
from callengine.errors import ConfigurationError

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    listed("January February March April May June July August September October November December")
)  # fmt: skip
_MONTH = {name.lower(): number for number, name in enumerate(MONTHS, 1)} | {
    name[:3].lower(): number for number, name in enumerate(MONTHS, 1)
}
_MONTH["sept"] = 9
_WEEKDAY = {form: day for day, name in enumerate(WEEKDAYS) for form in (name.lower(), f"{name.lower()}s")}
_FEASTS = {
    ("christmas", "eve"): (12, 24),
    ("christmas", "day"): (12, 25),
    ("boxing", "day"): (12, 26),
    ("new", "year's", "eve"): (12, 31),
    ("new", "years", "eve"): (12, 31),
    ("new", "year's", "day"): (1, 1),
    ("new", "years", "day"): (1, 1),
    ("valentine's", "day"): (2, 14),
    ("valentines", "day"): (2, 14),
    ("halloween",): (10, 31),
}
_NEAR = (("the", "day", "after", "tomorrow"), 2), (("day", "after", "tomorrow"), 2), (("tomorrow",), 1)
_PART_OF_DAY = {"night", "evening", "afternoon", "morning", "lunchtime"}
_NOT_A_DAY = {"time", "one", "person", "half", "course"}
"""What makes "the first" no date: "the first time", "the second course"."""

_Hit: TypeAlias = tuple[datetime.date, int, Strength]


@attrs.frozen
class Date(SlotKind):
    """A day from today on (`datetime.date`).

    A bare weekday is the next one after today; "this" may be today; "next" is the one of next week, counted from
    Monday. A day without a year is the next such day. ``closed`` are weekdays (0 is Monday), ``holidays`` days of the
    year as (month, day), that are refused with ``refusal``; so are days behind us, and days more than ``horizon`` days
    ahead.
    """

    closed: tuple[int, ...] = ()
    holidays: tuple[tuple[int, int], ...] = attrs.field(default=(), kw_only=True)
    refusal: str | None = None
    horizon: int = 366

    order = 10
    hint = "next Friday, or the third of March"

    def __attrs_post_init__(self) -> None:
        if not all(day in range(7) for day in self.closed):
            raise ConfigurationError("Date(closed=...) takes weekdays from 0 (Monday) to 6 (Sunday)")

    def find(self, words: Words, context: SlotContext) -> Sequence[Found]:
        found: list[Found] = []
        index = 0
        readers: tuple[Callable[[Words, int, datetime.date], _Hit | None], ...] = (
            _iso,
            _near,
            _feast,
            _weekday,
            _day_of_month,
            _month_day,
            _nth,
            _in_a_while,
        )
        while index < len(words):
            hits = (reader(words, index, context.today) for reader in readers)
            hit = next((hit for hit in hits if hit and words.free(index, hit[1])), None)
            if hit is None:
                index += 1
                continue
            found.append(Found(hit[0], index, hit[1], hit[2]))
            index = hit[1]
        return sorted(found, key=lambda each: -each.strength)

    def check(self, value: Any, context: SlotContext) -> str | None:
        if value < context.today:
            return "That day is already behind us."
        if value.weekday() in self.closed:
            names = " and ".join(f"{WEEKDAYS[day]}s" for day in self.closed)
            return self.refusal or f"I am afraid that we are closed on {names}."
        if (value.month, value.day) in self.holidays:
            day = f"{as_ordinal(value.day)} of {MONTHS[value.month - 1]}"
            return self.refusal or f"I am afraid that we are closed on the {day}."
        if (value - context.today).days > self.horizon:
            return f"I can only plan {in_words(self.horizon)} days ahead."
        return None

    def say(self, value: Any) -> str:
        return f"{WEEKDAYS[value.weekday()]} the {as_ordinal(value.day)} of {MONTHS[value.month - 1]}"


def _iso(words: Words, index: int, today: datetime.date) -> _Hit | None:
    del today
    try:
        return datetime.date.fromisoformat(words.at(index)), index + 1, Strength.SURE
    except ValueError:
        return None


def _near(words: Words, index: int, today: datetime.date) -> _Hit | None:
    for phrase, days in _NEAR:
        if words.starts(index, *phrase):
            end = index + len(phrase)
            return today + datetime.timedelta(days), end + (words.at(end) in _PART_OF_DAY), Strength.SURE
    if words.at(index) in {"today", "tonight"}:
        return today, index + 1, Strength.SURE
    if words.at(index) == "this" and words.at(index + 1) in _PART_OF_DAY:
        return today, index + 2, Strength.SURE
    return None


def _feast(words: Words, index: int, today: datetime.date) -> _Hit | None:
    for phrase, (month, day) in _FEASTS.items():
        if words.starts(index, *phrase):
            return _next(day, month, today), index + len(phrase), Strength.SURE
    return None


def _weekday(words: Words, index: int, today: datetime.date) -> _Hit | None:
    before = words.at(index) if words.at(index) in {"this", "next", "coming"} else ""
    start = index + bool(before)
    weekday = _WEEKDAY.get(words.at(start))
    if weekday is None:
        return None
    end = start + 1
    end += words.at(end) in _PART_OF_DAY
    dated = _day_of_month(words, end, today) or _month_day(words, end, today)
    if dated:
        return dated  # the day of the month says more than the name of the day
    if (nth := _nth(words, end, today)) is not None:
        return _agreeing(nth[0].day, weekday, today), nth[1], Strength.SURE
    days = (weekday - today.weekday()) % 7
    if before == "next" or words.starts(end, "next", "week"):
        days = 7 - today.weekday() + weekday
        end += 2 * words.starts(end, "next", "week")
    elif before != "this" and days == 0:
        days = 7
    if words.starts(end, "week"):
        days, end = days + 7, end + 1
    return today + datetime.timedelta(days), end, Strength.SURE


def _day_of_month(words: Words, index: int, today: datetime.date) -> _Hit | None:
    """ "The twenty third of December", "23 December"."""
    start = index + (words.at(index) == "the")
    number = ordinal(words, start) or cardinal(words, start)
    if number is None:
        return None
    day, end = number
    end += words.at(end) == "of"
    month = _MONTH.get(words.at(end))
    if month is None or (words.at(end) in {"may", "march"} and words.at(end - 1) != "of" and words.at(start).isalpha()):
        return None  # "the second may be better"
    return _dated(day, month, words, end + 1, today)


def _month_day(words: Words, index: int, today: datetime.date) -> _Hit | None:
    """ "December twenty third", "December the 23rd"."""
    month = _MONTH.get(words.at(index))
    if month is None:
        return None
    start = index + 1 + (words.at(index + 1) == "the")
    number = ordinal(words, start) or (None if words.at(index) == "may" else cardinal(words, start))
    return None if number is None else _dated(number[0], month, words, number[1], today)


def _dated(day: int, month: int, words: Words, end: int, today: datetime.date) -> _Hit | None:
    token = words.at(end)
    try:
        if token.isdecimal() and len(token) == 4:
            return datetime.date(int(token), month, day), end + 1, Strength.SURE
        return _next(day, month, today), end, Strength.SURE
    except ValueError:
        return None  # no such day


def _nth(words: Words, index: int, today: datetime.date) -> _Hit | None:
    """ "The ninth": of this month or a later one."""
    start = index + (words.at(index) == "the")
    number = ordinal(words, start)
    if number is None or not 1 <= number[0] <= 31 or words.at(number[1]) in _NOT_A_DAY:
        return None
    if words.at(number[1]) == "of" and words.at(number[1] + 1) in _MONTH:
        return None  # the thirtieth of February
    strength = Strength.LIKELY if start > index or words.at(index - 1) == "on" else Strength.BARE
    return _agreeing(number[0], None, today), number[1], strength


def _in_a_while(words: Words, index: int, today: datetime.date) -> _Hit | None:
    """ "In three days", "in two weeks"."""
    if words.at(index) != "in":
        return None
    number = (1, index + 2) if words.at(index + 1) == "a" else cardinal(words, index + 1)
    if number is None:
        return None
    days = {"day": 1, "days": 1, "week": 7, "weeks": 7}.get(words.at(number[1]))
    if days is None:
        return None
    return today + datetime.timedelta(number[0] * days), number[1] + 1, Strength.SURE


def _next(day: int, month: int, today: datetime.date) -> datetime.date:
    """The next such day, today included. 29 February waits for its year. Raises ValueError for the 30th of February."""
    if not 1 <= day <= (29, 31)[month != 2] - (month in {4, 6, 9, 11}):
        raise ValueError("no such day")
    for year in range(today.year, today.year + 9):
        try:
            date = datetime.date(year, month, day)
        except ValueError:
            continue
        if date >= today:
            return date
    raise ValueError("no such day")


def _agreeing(day: int, weekday: int | None, today: datetime.date) -> datetime.date:
    """The next day with this number; with a weekday too, the next one on which both agree within a year."""
    candidates = [
        date
        for ahead in range(367)
        if (date := today + datetime.timedelta(ahead)).day == day and (weekday is None or date.weekday() == weekday)
    ]
    return candidates[0] if candidates else _agreeing(day, None, today)
