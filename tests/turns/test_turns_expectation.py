"""What does the agent ask for?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.turns.entities import Expectation
from callengine.turns.expectation import expected


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Could I have your phone number, please?", "phone"),
        ("Sure. What's the best number to reach you?", "phone"),
        ("What number can I reach you at?", "phone"),
        ("I need your mobile number.", "phone"),
        ("What is your phone number? I need it to confirm the booking.", "phone"),
        ("May I ask your name and phone number?", "phone"),
        ("May I have the card number?", "card"),
        ("Please read me the number on your card.", "card"),
        ("What’s your e-mail address?", "email"),
        ("Could you give me your email?", "email"),
        ("What day would you like to come?", "date"),
        ("Which date works for you?", "date"),
        ("When would you like to come?", "date"),
        ("Great, a table for four. What time would you like?", "time"),
        ("Which day and time?", "time"),
        ("Could you spell your name for me?", "spelling"),
        ("How do you spell that?", "spelling"),
        ("May I have your name?", "name"),
        ("Under which name should I book it?", "name"),
        ("And your surname?", "name"),
        ("Who am I speaking with?", "name"),
        ("Do you have a reference number?", "number"),
        ("What is your order number, please?", "number"),
        ("Could you tell me the confirmation code?", "number"),
        ("And the number, please?", "number"),
        ("What's your delivery address?", "address"),
    ],
)
def test_a_question_tells_what_is_expected(question, kind) -> None:
    assert expected(question) == Expectation(kind)


@pytest.mark.parametrize(
    ("question", "kind", "length"),
    [
        ("And the last four digits of your card?", "number", 4),
        ("Please enter your six-digit code.", "number", 6),
        ("What is the 3-digit security code on the back?", "number", 3),
        ("What's your zip code?", "number", 5),
        ("What's your date of birth?", "date", 3),
        ("When were you born?", "date", 3),
    ],
)
def test_a_question_tells_the_length(question, kind, length) -> None:
    assert expected(question) == Expectation(kind, length)


@pytest.mark.parametrize(
    "text",
    [
        "Anything else?",
        "Is there anything else I can help you with?",
        "Your number is 555, is that right?",
        "Thanks. So your phone number is 555 014 2987, correct?",
        "Is this the best number to reach you?",
        "Can I call you back on this number?",
        "Would you like me to send it to your email?",
        "Our phone number is 555.",
        "Your table is booked for Saturday at seven.",
        "I have your phone number. How many of you will there be?",
        "How can I help you?",
        "Is Saturday okay for you?",
        "",
    ],
)
def test_other_words_expect_nothing(text) -> None:
    assert expected(text) is None


def test_the_last_question_counts() -> None:
    assert expected("What's your name? And your phone number?") == Expectation("phone")


@given(st.text())
def test_any_text_has_an_answer(text) -> None:
    assert expected(text) is None or isinstance(expected(text), Expectation)
