"""Yes and no in callers' words."""

import datetime

import pytest

from callengine.brain.slots import SlotContext, Strength, Words, YesNo

TODAY = SlotContext(datetime.date(2026, 11, 25))


def answer(text: str) -> bool | None:
    """What was plainly answered."""
    found = [hit for hit in YesNo().find(Words.of(text), TODAY) if hit.strength is Strength.SURE]
    return found[0].value if found else None


@pytest.mark.parametrize(
    "text",
    [
        "Yes.", "Yes, please.", "Yeah, that works.", "Okay.", "Okay, okay.", "Right.", "Uh huh.", "Mm hmm.",
        "of course", "everything is correct", "please do", "that's right", "go ahead", "no, that's right",
        "no no, that is fine", "yes, seven o'clock would be better.",
    ],
)  # fmt: skip
def test_agreement(text: str) -> None:
    assert answer(text) is True


@pytest.mark.parametrize(
    "text",
    ["No.", "No, thank you.", "Nope, that is all.", "No no, I said Saturday.", "not quite", "that's not right",
     "that is wrong", "I don't think so"],
)  # fmt: skip
def test_refusal(text: str) -> None:
    assert answer(text) is False


@pytest.mark.parametrize(
    "text", ["", "I see.", "it's for four", "Peter Collins", "I would like to book a table please"]
)
def test_neither(text: str) -> None:
    assert answer(text) is None


def test_polite_questions_are_no_answer() -> None:
    assert answer("Could you say that again, please?") is None
    assert answer("Is the table right by the window?") is None
