"""A time of the day: "half past seven", "7.30", "at eight", "quarter to nine", "19:30", "noon"."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any

import attrs

from callengine.brain.slots.base import Found, SlotContext, SlotKind, Strength
from callengine.brain.slots.words import Words, cardinal, in_words
from callengine.errors import ConfigurationError

_BEFORE = {"at", "around", "by", "till", "until", "from", "after", "before"}
_EVENING = (("in", "the", "evening"), ("in", "the", "afternoon"), ("at", "night"), ("tonight",))
_MORNING = (("in", "the", "morning"),)
_FRACTIONS = {"half": 30, "quarter": 15}
_SPOKEN = {15: "quarter past", 30: "half past", 45: "quarter to"}


@attrs.frozen
class Time(SlotKind):
    """A time between ``earliest`` and ``latest``, both included (`datetime.time`, to the minute).

    Where a caller does not say morning or evening, the reading that lies in these bounds is taken, or else the one
    from eight in the morning to eight in the evening. A time out of bounds is answered with ``refusal`` (by default a
    sentence that names them).
    """

    earliest: datetime.time = datetime.time(0, 0)
    latest: datetime.time = datetime.time(23, 59)
    refusal: str | None = None

    order = 20
    hint = "half past seven"

    def __attrs_post_init__(self) -> None:
        if self.earliest >= self.latest:
            raise ConfigurationError("Time(earliest=..., latest=...): earliest has to come before latest")

    def find(self, words: Words, context: SlotContext) -> Sequence[Found]:
        del context
        found: list[Found] = []
        index = 0
        while index < len(words):
            hit = self._at(words, index)
            if hit is None:
                index += 1
                continue
            found.append(hit)
            index = hit.end
        return sorted(found, key=lambda each: -each.strength)

    def _at(self, words: Words, index: int) -> Found | None:
        clock = _noon(words, index) or _fraction(words, index) or _figures(words, index) or _hour(words, index)
        if clock is None:
            return None
        hour, minute, end, strength = clock
        half, end = _half_day(words, end)
        if half or words.at(end) in {"o'clock", "oclock"}:
            strength = Strength.SURE
            end += words.at(end) in {"o'clock", "oclock"}
            late, end = _half_day(words, end)
            half = half or late
        elif words.at(index - 1) in _BEFORE and strength < Strength.SURE:
            strength = Strength.SURE
        if strength == Strength.BARE and words.at(index) in {"0", "zero"}:
            return None  # a digit of something else
        if not words.free(index, end):
            return None
        return Found(self._resolve(hour, minute, half), index, end, strength)

    def _resolve(self, hour: int, minute: int, half: str) -> datetime.time:
        if half == "pm" and hour < 12:
            hour += 12
        elif half == "am" and hour == 12:
            hour = 0
        if half or not 1 <= hour <= 12:
            return datetime.time(hour % 24, minute)
        readings = [datetime.time(hour % 12, minute), datetime.time(hour % 12 + 12, minute)]
        fitting = [reading for reading in readings if self.earliest <= reading <= self.latest]
        if len(fitting) == 1:
            return fitting[0]
        return readings[0] if 8 <= hour < 12 else readings[1]

    def check(self, value: Any, context: SlotContext) -> str | None:
        del context
        if self.earliest <= value <= self.latest:
            return None
        return self.refusal or f"It has to be between {self.say(self.earliest)} and {self.say(self.latest)}."

    def say(self, value: Any) -> str:
        hour, minute = value.hour, value.minute
        if minute in {45}:
            hour += 1
        name = in_words((hour - 1) % 12 + 1)
        if minute == 0:
            if value.hour in {0, 12}:
                return "noon" if value.hour else "midnight"
            clock = f"{name} o'clock"
        elif minute in _SPOKEN:
            clock = f"{_SPOKEN[minute]} {name}"
        else:
            clock = f"{name} {'oh ' if minute < 10 else ''}{in_words(minute)}"
        return clock if value.hour >= 12 or self.earliest.hour >= 12 else f"{clock} in the morning"

    def note(self, value: Any) -> str:
        return f"{value:%H:%M}"


def _noon(words: Words, index: int) -> tuple[int, int, int, Strength] | None:
    if words.at(index) in {"noon", "midday"}:
        return 12, 0, index + 1, Strength.SURE
    if words.at(index) == "midnight":
        return 0, 0, index + 1, Strength.SURE
    return None


def _fraction(words: Words, index: int) -> tuple[int, int, int, Strength] | None:
    """ "Half past seven", "half seven" (the British half past), "a quarter to eight", "ten past eight"."""
    start = index + (words.at(index) == "a")
    if words.at(start) in _FRACTIONS:
        minutes, end = _FRACTIONS[words.at(start)], start + 1
        if minutes == 30 and (hour := _clock_hour(words, end)):
            return hour[0], 30, hour[1], Strength.SURE
    elif start == index and (number := cardinal(words, start)) and number[0] < 60:
        minutes, end = number
        end += words.at(end) in {"minutes", "minute"}
    else:
        return None
    relation = words.at(end)
    if relation not in {"past", "after", "to", "before", "of"} or (relation == "of" and words.at(start) != "quarter"):
        return None
    hour = _clock_hour(words, end + 1)
    if hour is None:
        return None
    if relation in {"past", "after"}:
        return hour[0], minutes, hour[1], Strength.SURE
    plain = words.at(start) not in _FRACTIONS and minutes % 5 != 0
    if plain:
        return None  # "four to six": a range, not a time
    return (hour[0] - 2) % 12 + 1, 60 - minutes, hour[1], Strength.SURE


def _figures(words: Words, index: int) -> tuple[int, int, int, Strength] | None:
    """ "7.30", "19:30"; "730" as the answer to its question."""
    token = words.at(index)
    if match := re.fullmatch(r"(\d{1,2})[:.](\d{2})", token):
        strength = Strength.SURE
    elif match := re.fullmatch(r"(\d{1,2})(\d{2})", token):
        strength = Strength.BARE
    else:
        return None
    hour, minute = int(match[1]), int(match[2])
    return (hour, minute, index + 1, strength) if hour < 24 and minute < 60 else None


def _hour(words: Words, index: int) -> tuple[int, int, int, Strength] | None:
    """ "Eight", "seven thirty", "nineteen thirty", "eight oh five"."""
    hour = _clock_hour(words, index, limit=23)
    if hour is None:
        return None
    value, end = hour
    if words.at(end) in {"oh", "o"} and (minute := cardinal(words, end + 1)) and 0 < minute[0] < 10:
        return value, minute[0], minute[1], Strength.LIKELY
    if (minute := cardinal(words, end)) and 10 <= minute[0] < 60 and not words.at(index - 1).isdecimal():
        return value, minute[0], minute[1], Strength.LIKELY
    return value, 0, end, Strength.BARE


def _clock_hour(words: Words, index: int, limit: int = 12) -> tuple[int, int] | None:
    number = cardinal(words, index)
    return number if number and 0 < number[0] <= limit else None


def _half_day(words: Words, index: int) -> tuple[str, int]:
    if words.at(index) in {"am", "pm"}:
        return words.at(index), index + 1
    for phrases, half in ((_EVENING, "pm"), (_MORNING, "am")):
        for phrase in phrases:
            if words.starts(index, *phrase):
                return half, index + len(phrase)
    return "", index
