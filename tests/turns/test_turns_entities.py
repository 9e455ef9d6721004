"""How far is the number, the date, the name?"""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.errors import ConfigurationError
from callengine.turns.entities import EntityKind, Expectation, progress
from callengine.turns.phrases import phrases_for

ENGLISH = phrases_for("en")
DIGITS = "zero one two three four five six seven eight nine".split()  # noqa: SIM905 - as it is counted


def state(kind, text, length=None) -> str:
    return progress(text, Expectation(kind, length), ENGLISH).state


def reason(kind, text, length=None) -> str:
    return progress(text, Expectation(kind, length), ENGLISH).reason


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("five five five", 3),
        ("555", 3),
        ("5 5 5 0 1", 5),
        ("555-01", 5),
        ("zero one", 2),
        ("oh one", 2),
        ("double six", 2),
        ("triple nine", 3),
        ("twenty three", 2),
        ("twenty, three hundred", 4),
        ("seven nine one one", 4),
        ("My number is five five five", 3),
        ("five five, um, five", 3),
        ("five five five, no, sorry, five six", 2),
        ("eight hundred five five five", 6),
    ],
)
def test_digits_are_read_as_recognisers_write_them(text, digits) -> None:
    assert reason("phone", text, 9) == f"{digits} of 9 digits"
    assert state("phone", text, digits) == "complete"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("555 014", "partial"),
        ("555 0142", "partial"),
        ("555 014 298", "partial"),
        ("555 014 2987", "complete"),
        ("1 555 014 298", "partial"),
        ("1 555 014 2987", "complete"),
        ("plus four four", "partial"),
        ("+44 7911 123 45", "partial"),
        ("+44 7911 123 456", "complete"),
        ("0044 7911 123 45", "partial"),
        ("0044 7911 123 456", "complete"),
        ("+1 555 014 2987", "complete"),
        ("+998 90 123 45", "partial"),
        ("+998 90 123 456", "complete"),
        ("555 014 2987 123 45", "complete"),
        ("I don't have one.", "none"),
        ("Why do you need that?", "none"),
        ("Oh, I see.", "none"),
        ("plus", "partial"),
    ],
)
def test_a_phone_number_is_complete_with_the_digits_of_its_plan(said, expected) -> None:
    assert state("phone", said) == expected


def test_a_phone_number_of_known_length_is_complete_with_that() -> None:
    assert state("phone", "five five five zero one four", 7) == "partial"
    assert state("phone", "five five five zero one four two", 7) == "complete"
    assert reason("phone", "five five five", 7) == "3 of 7 digits"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("4111 1111 1111", "partial"),
        ("4111 1111 1111 1111", "complete"),
        ("four one one one, one one one one, one one one one, one one one one", "complete"),
        ("4111 1111 1111 1112", "partial"),
        ("3782 822463 10005", "complete"),
        ("3782 822463 1000", "partial"),
        ("4111 1111 1111 1112 345", "complete"),
        ("Just a moment, I'll fetch it.", "none"),
    ],
)
def test_a_card_number_is_complete_when_its_check_digit_is_right(said, expected) -> None:
    assert state("card", said) == expected


def test_a_card_of_known_length_is_complete_with_that() -> None:
    assert state("card", "4111 1111 1111 1", 13) == "complete"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("it is maria dot keller", "partial"),
        ("it is maria dot keller at example dot com", "complete"),
        ("maria.keller@example.com.", "complete"),
        ("Maria underscore", "partial"),
        ("Maria", "partial"),
        ("maria at", "partial"),
        ("maria at example", "partial"),
        ("maria at example dot", "partial"),
        ("maria at example dot co", "partial"),
        ("maria at example dot co dot uk", "complete"),
        ("at example dot com", "partial"),
        ("M A R I A", "partial"),
        ("maria at example dot com and", "partial"),
        ("I don't have one.", "none"),
        ("No.", "none"),
        ("What for?", "none"),
        ("I'm at home.", "none"),
    ],
)
def test_an_email_address_is_complete_with_its_ending(said, expected) -> None:
    assert state("email", said) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("the third of", "partial"),
        ("January, I think", "partial"),
        ("The 23rd.", "partial"),
        ("the third of January", "complete"),
        ("January 3rd", "complete"),
        ("on the twenty third of December", "complete"),
        ("3/4", "complete"),
        ("2026-04-03", "complete"),
        ("Saturday", "complete"),
        ("Wednesday the ninth.", "complete"),
        ("Wednesday the", "partial"),
        ("tomorrow at", "partial"),
        ("tomorrow", "complete"),
        ("next week", "complete"),
        ("Do you have anything in May?", "none"),
        ("May I ask why?", "none"),
        ("I don't have one in mind", "none"),
        ("I don't know yet.", "none"),
    ],
)
def test_a_date_is_complete_with_day_and_month_or_a_day_by_name(said, expected) -> None:
    assert state("date", said) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("the third of May", "partial"),
        ("Saturday", "none"),
        ("the third of May nineteen eighty five", "complete"),
        ("May 3rd, 1985", "complete"),
        ("May third two thousand five", "complete"),
        ("3/4", "partial"),
        ("3/4/85", "complete"),
    ],
)
def test_a_date_of_three_parts_wants_its_year(said, expected) -> None:
    assert state("date", said, 3) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("half past", "partial"),
        ("half past seven", "complete"),
        ("quarter to", "partial"),
        ("7:30", "complete"),
        ("seven", "complete"),
        ("seven o'clock", "complete"),
        ("noon", "complete"),
        ("between seven and", "partial"),
        ("in the evening", "none"),
        ("What do you have?", "none"),
    ],
)
def test_a_time_is_complete_with_its_hour(said, expected) -> None:
    assert state("time", said) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Peter Collins.", "complete"),
        ("My name is Peter Collins", "complete"),
        ("It's Ludwig van Beethoven, please", "complete"),
        ("Sinéad O'Connor", "complete"),
        ("H, A, R, R", "partial"),
        ("Collins, C O L L", "partial"),
        ("Harrison", "none"),
        ("I already told you.", "none"),
        ("Why do you need it?", "none"),
        ("My name is", "none"),
    ],
)
def test_a_full_name_is_complete_and_a_spelled_one_left_to_the_pause(said, expected) -> None:
    assert state("name", said) == expected


@pytest.mark.parametrize(
    ("said", "letters"),
    [
        ("H, A, R, R", 4),
        ("I, S, O, N", 4),
        ("H. A. R. R.", 4),
        ("h-a-r-r", 4),
        ("HARR", 4),
        ("H A double R", 4),
        ("double U, A", 2),
        ("aitch, A", 2),
        ("B as in Boris, O", 2),
        ("Hotel Alpha Romeo", 3),
        ("it's H, A", 2),
    ],
)
def test_spelled_letters_are_counted(said, letters) -> None:
    assert reason("spelling", said) == f"{letters} letters so far"
    assert state("spelling", said) == "partial"
    assert state("spelling", said, letters) == "complete"
    assert state("spelling", said, letters + 1) == "partial"


@pytest.mark.parametrize("said", ["Harrison", "I have a question", "Why?", "As you hear it"])
def test_words_are_no_spelling(said) -> None:
    assert state("spelling", said) == "none"


@pytest.mark.parametrize(
    ("said", "length", "expected"),
    [
        ("four", None, "complete"),
        ("twenty three", None, "complete"),
        ("five five five", None, "partial"),
        ("A B one two three", None, "partial"),
        ("A B", None, "partial"),
        ("five five", 4, "partial"),
        ("five five one two", 4, "complete"),
        ("A B one two", 6, "partial"),
        ("A B one two three four", 6, "complete"),
        ("I don't know it.", None, "none"),
        ("I don't know it.", 4, "none"),
    ],
)
def test_a_quantity_is_complete_and_a_dictated_number_when_its_length_is_met(said, length, expected) -> None:
    assert state("number", said, length) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("twelve", "partial"),
        ("12 Main Street", "partial"),
        ("12 Main Street, Springfield", "complete"),
        ("221B Baker Street NW1 6XE", "complete"),
        ("Hauptstraße 12", "partial"),
        ("Hauptstraße 12, Berlin", "complete"),
        ("12 Main Street in", "partial"),
        ("I'd rather not say.", "none"),
    ],
)
def test_an_address_is_complete_with_what_stands_behind_the_street(said, expected) -> None:
    assert state("address", said) == expected


@pytest.mark.parametrize(
    ("kind", "said"),
    [("phone", "555 014 2, that's it."), ("spelling", "H A R R, that's all"), ("number", "5 5 5. That's the number.")],
)
def test_the_caller_can_say_that_this_is_all(kind, said) -> None:
    assert state(kind, said) == "complete"


def test_numbers_in_other_languages() -> None:
    for language, said in [
        ("de", "null eins sieben eins zwo drei"),
        ("es", "cero uno siete uno dos tres"),
        ("fr", "zéro six un deux trois quatre"),
        ("it", "zero uno sette uno due tre"),
        ("nl", "nul zes een twee drie vier"),
        ("pt", "zero um sete meia dois três"),
    ]:
        assert progress(said, Expectation("phone", 8), phrases_for(language)).reason == "6 of 8 digits"


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9).filter(lambda digits: digits[0] != 0))
def test_no_phone_number_is_cut_among_its_first_nine_digits(digits) -> None:
    assert state("phone", " ".join(DIGITS[digit] for digit in digits)) == "partial"
    assert state("phone", " ".join(map(str, digits))) == "partial"


@given(st.text(), st.sampled_from(get_args(EntityKind)), st.none() | st.integers(1, 20))
def test_any_text_has_an_answer(text, kind, length) -> None:
    found = progress(text, Expectation(kind, length), ENGLISH)
    assert found.state in {"none", "partial", "complete"}
    assert found.reason


@given(st.text(alphabet="0123456789 ", min_size=1).filter(str.strip), st.sampled_from(["phone", "card", "number"]))
def test_reasons_show_no_digits_of_the_caller(text, kind) -> None:
    shown = reason(kind, f"{text} 987654")
    assert "987654" not in shown


def test_wrong_expectations_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="phone"):
        Expectation("telephone")
    with pytest.raises(ConfigurationError, match="1 or more"):
        Expectation("phone", 0)
