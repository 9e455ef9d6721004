"""Names in callers' words."""

import datetime

import pytest

from callengine.brain.slots import Name, SlotContext, Strength, Words

TODAY = SlotContext(datetime.date(2026, 11, 25))


def best(text: str) -> tuple[str, Strength] | None:
    found = Name().find(Words.of(text), TODAY)
    return (found[0].value, found[0].strength) if found else None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My name is Harrison", "Harrison"),
        ("my name is harrison, thank you", "Harrison"),
        ("Can you change my booking? It is under the name Harrison.", "Harrison"),
        ("in the name of Peter Collins please", "Peter Collins"),
        ("My name is Harrison and my number is five five five", "Harrison"),
        ("my name's Maria Keller", "Maria Keller"),
        ("the name is O'Brien", "O'Brien"),
        ("my name is H A R R I S O N", "Harrison"),
    ],
)
def test_a_name_that_is_called_one_is_plain(text: str, name: str) -> None:
    assert best(text) == (name, Strength.SURE)


@pytest.mark.parametrize(
    ("text", "name", "strength"),
    [
        ("This is Tom speaking", "Tom", Strength.LIKELY),
        ("under Collins please", "Collins", Strength.LIKELY),
        ("Harrison.", "Harrison", Strength.BARE),
        ("Peter Collins.", "Peter Collins", Strength.BARE),
        ("yes, it's peter", "Peter", Strength.BARE),
        ("van der Berg", "van der Berg", Strength.BARE),
        ("H, A, R, R", "Harr", Strength.BARE),
        ("H A double R I S O N", "Harrison", Strength.BARE),
        ("Harrison, H A R R I S O N", "Harrison", Strength.BARE),
        ("Harris, H A R R I S O N", "Harrison", Strength.BARE),
    ],
)
def test_a_name_alone_is_one_when_asked_for(text: str, name: str, strength: Strength) -> None:
    assert best(text) == (name, strength)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "goodbye",
        "okay okay",
        "I see",
        "What time do you open on Sundays?",
        "I am afraid I have to cancel my table",
        "a high chair for the baby",
        "five five five",
        "Could you say that again please",
        "I was there last week with my sister",
    ],
)
def test_other_words_are_no_name(text: str) -> None:
    assert best(text) is None


def test_letters_of_two_turns_make_one_name() -> None:
    first, second = (Name().find(Words.of(text), TODAY)[0] for text in ("H, A, R, R", "I, S, O, N"))

    assert first.open_ended
    assert Name().join(first.value, second.value) == "Harrison"
    assert Name().join("Harr", "Harrison") == "Harrison"
