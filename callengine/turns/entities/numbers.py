"""Phone, card and other numbers."""

from __future__ import annotations

from callengine.turns.entities.kinds import NOTHING, Progress, complete, partial
from callengine.turns.entities.letters import read_letters
from callengine.turns.numerals import Spoken, read_digits, tokens
from callengine.turns.phrases import Phrases

NATIONAL = 10
"""Digits from which a phone number may be whole: those of North America, France and most of the larger plans. Shorter
ones exist (7 to 9 digits), but are the beginning of a longer one more often than not."""
INTERNATIONAL = 11
"""The same with the country's code, where its plan is not in `WITH_CODE`."""
_PLANS = {10: "45 47 64", 11: "1 7 31 33 34 41 46 48 61 353 358", 12: "39 44 49 55 91 351 420"}
WITH_CODE = {code: length for length, codes in _PLANS.items() for code in codes.split()}
"""Digits of a mobile number with its country's code, the shorter where plans have two lengths (the national numbering
plans published by the ITU: https://www.itu.int/oth/T0202.aspx?parent=T0202)."""
CARD, AMEX, LONGEST_CARD = 16, 15, 19
"""Digits of a payment card (ISO/IEC 7812 allows up to 19); American Express, which begins with 34 or 37, has 15."""
QUANTITY = 2
"""A number of so few digits is said at once ("four", "twenty three"); a longer one is dictated, and pauses mean
nothing."""


def phone(text: str, length: int | None, phrases: Phrases) -> Progress:
    """Complete with ``length`` digits, else with as many as the plan of its country has, if there is a code, or 10."""
    said = read_digits(tokens(text), phrases.numerals)
    count = len(said.digits)
    if not count:
        return partial("a plus and no digit") if said.international else NOTHING
    return _counted(count, length if length is not None else _phone_length(said))


def _phone_length(said: Spoken) -> int:
    digits = said.digits
    zeros = 2 if digits.startswith("00") and not said.international else 0
    if not (said.international or zeros):
        # North America's trunk prefix is its country's code too
        return NATIONAL + digits.startswith("1")
    digits = digits[zeros:]
    codes = (WITH_CODE[digits[:size]] for size in (3, 2, 1) if digits[:size] in WITH_CODE)
    return zeros + next(codes, INTERNATIONAL)


def card(text: str, length: int | None, phrases: Phrases) -> Progress:
    """Complete with ``length`` digits, else with 16 (15 where it begins with 34 or 37) whose check digit is right."""
    digits = read_digits(tokens(text), phrases.numerals).digits
    count = len(digits)
    if not count:
        return NOTHING
    if length is not None or count >= LONGEST_CARD:
        return _counted(count, length or LONGEST_CARD)
    wanted = AMEX if digits.startswith(("34", "37")) else CARD
    if count != wanted:
        return partial(f"{count} of {wanted} digits" if count < wanted else f"{count} digits")
    return complete(f"{count} digits") if luhn(digits) else partial(f"{count} digits, but the check digit is wrong")


def luhn(digits: str) -> bool:
    """Whether the last of these digits is their check digit (ISO/IEC 7812-1, annex B)."""
    doubled = (2 * int(digit) if index % 2 else int(digit) for index, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def number(text: str, length: int | None, phrases: Phrases) -> Progress:
    """Complete with ``length`` digits and spelled letters. Without a length, a quantity is complete and a dictated
    number partial."""
    count = len(read_digits(tokens(text), phrases.numerals).digits)
    if not count and length is None:
        letters = len(read_letters(text))
        return partial(f"{letters} letters so far") if letters > 1 else NOTHING
    count += len(read_letters(text)) if count or len(text.split()) > 1 else 0
    if not count:
        return NOTHING
    if length is not None:
        return _counted(count, length)
    return complete("a quantity") if count <= QUANTITY else partial(f"{count} digits, of nobody knows how many")


def _counted(count: int, wanted: int) -> Progress:
    reason = f"{count} of {wanted} digits" if count <= wanted else f"{count} digits, more than {wanted}"
    return complete(reason) if count >= wanted else partial(reason)
