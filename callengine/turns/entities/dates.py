"""Days and times of day."""

from __future__ import annotations

import re

from callengine.turns.entities.kinds import NOTHING, Progress, complete, partial, word_set
from callengine.turns.numerals import read_digits, tokens
from callengine.turns.phrases import Phrases

MONTHS = word_set(
    "january february march april may june july august september october november december jan feb mar apr jun jul "
    "aug sep sept oct nov dec januar jänner februar märz mai juni juli oktober dezember enero febrero marzo abril "
    "mayo junio julio agosto septiembre octubre noviembre diciembre janvier février mars avril juin juillet août "
    "septembre octobre novembre décembre gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre "
    "januari februari maart mei augustus janeiro fevereiro março maio junho julho setembro outubro novembro dezembro"
)
_WORDS_TOO = frozenset({"may", "march", "mar", "mars", "mai", "mei"})
"""Months that mean something else without a day."""
DAYS = word_set(
    "monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays saturdays "
    "sundays today tonight tomorrow yesterday weekend montag dienstag mittwoch donnerstag freitag samstag sonnabend "
    "sonntag heute morgen übermorgen gestern wochenende lunes martes miércoles jueves viernes sábado domingo hoy "
    "mañana lundi mardi mercredi jeudi vendredi samedi dimanche aujourd'hui demain lunedì martedì mercoledì giovedì "
    "venerdì sabato domenica oggi domani maandag dinsdag woensdag donderdag vrijdag zaterdag zondag vandaag "
    "overmorgen terça hoje amanhã"
)
"""Words that name a day by themselves."""
_PERIODS = frozenset(
    f"{which} {period}" for which in ("next", "this", "the following", "in a") for period in ("week", "month", "year")
)
_ORDINALS = word_set(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth erste ersten zweite zweiten dritte "
    "dritten premier primero primo primeiro"
)
_NUMERIC = re.compile(r"\b\d{1,2}([/.-])\d{1,2}(?:\1\d{2,4})?\b|\b\d{4}-\d\d-\d\d\b")
_NUMERIC_YEAR = re.compile(r"\b\d{1,2}([/.-])\d{1,2}\1\d{2,4}\b|\b\d{4}-\d\d-\d\d\b")
_DAY = re.compile(r"\b(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th|\.|er|º)?(?=\W|$)")
_YEAR = re.compile(r"(?:19|20)\d\d$|2000\d\d?$")
WITH_YEAR = 3
"""`Expectation.length` of a date of which the year is wanted too."""

_CLOCK = re.compile(r"\b\d{1,2}\s?[:.h]\s?\d\d\b|\b\d{3,4}\b")
_BY_NAME = frozenset(
    {"noon", "midday", "midnight", "mittag", "mitternacht", "mediodía", "medianoche", "midi", "minuit"}
)
_PARTS = frozenset({"half", "quarter", "halb", "viertel", "kwart", "past"})


def date(text: str, length: int | None, phrases: Phrases) -> Progress:
    """Complete with day and month, or with a day by its name ("Saturday", "tomorrow"); with a year where it is asked
    for, by a ``length`` of 3."""
    lowered = text.lower()
    words = tokens(text)
    numbers = read_digits(words, phrases.numerals)
    year = bool(_YEAR.search(numbers.digits))
    with_year = length == WITH_YEAR
    if (_NUMERIC_YEAR if with_year else _NUMERIC).search(lowered):
        return complete("a date in figures")
    spoken = any(len(group) <= 2 and not group.startswith("0") for group in numbers.groups)
    day = spoken or bool(_DAY.search(lowered)) or any(word in _ORDINALS for word in words)
    month = any(word in MONTHS and (day or len(words) == 1 or word not in _WORDS_TOO) for word in words)
    if month and day:
        return complete("a date") if year or not with_year else partial("a date without its year")
    if not with_year and (any(word in DAYS for word in words) or any(p in lowered for p in _PERIODS)):
        return complete("a day by its name")
    if month:
        return partial("a month without a day")
    return partial("a day without a month") if day or year else NOTHING


def time(text: str, length: int | None, phrases: Phrases) -> Progress:
    """Complete with an hour; "half past" and "quarter to" want one behind them. ``length`` has no meaning."""
    del length
    words = tokens(text)
    if _CLOCK.search(text.lower()) or any(word in _BY_NAME for word in words):
        return complete("a time")
    hours = [i for i, word in enumerate(words) if word in phrases.numerals or (word.isdecimal() and int(word) <= 24)]
    parts = [index for index, word in enumerate(words) if word in _PARTS]
    if parts and (not hours or hours[-1] < parts[-1]):
        return partial("a part of an hour without the hour")
    return complete("an hour") if hours else NOTHING
