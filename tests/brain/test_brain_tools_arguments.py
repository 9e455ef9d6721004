"""What a model writes as arguments: read as the function's annotations say, or refused with words for the model."""

from __future__ import annotations

import dataclasses
import datetime
import json
from contextlib import suppress
from enum import Enum
from typing import Any, Literal, TypedDict

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.brain.tools.kinds import WrongArgument
from callengine.brain.tools.results import MAX_RESULT, error_text, result_text
from callengine.tools import ToolError, tool


class Room(Enum):
    INSIDE = "inside"
    GARDEN = "garden"


@dataclasses.dataclass
class Guest:
    name: str
    age: int | None
    vip: bool = False


@attrs.frozen
class Party:
    people: int = attrs.field(validator=attrs.validators.ge(1))


class Address(TypedDict, total=False):
    street: str


@tool
def book(
    people: int = 0,
    price: float = 0.0,
    sure: bool = False,
    room: Room = Room.INSIDE,
    meal: Literal["lunch", "dinner"] = "lunch",
    note: str | None = "",
    days: list[int] | None = None,
    extras: dict[str, float] | None = None,
    guest: Guest | None = None,
    party: Party | None = None,
    to: Address | None = None,
) -> None:
    """Book."""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"people": 2}', {"people": 2}),
        ('{"people": 2.0}', {"people": 2}),
        ('{"price": 2}', {"price": 2.0}),
        ('{"sure": true}', {"sure": True}),
        ('{"room": "garden"}', {"room": Room.GARDEN}),
        ('{"meal": "dinner"}', {"meal": "dinner"}),
        ('{"note": null}', {"note": None}),
        ('{"days": [1, 2]}', {"days": [1, 2]}),
        ('{"extras": {"wine": 3}}', {"extras": {"wine": 3.0}}),
        ('{"guest": {"name": "Ann"}}', {"guest": Guest("Ann", None)}),
        ('{"guest": {"name": "Ann", "age": 3, "vip": true}}', {"guest": Guest("Ann", 3, True)}),
        ('{"party": {"people": 3}}', {"party": Party(3)}),
        ('{"to": {}}', {"to": {}}),
        ("{}", {}),
        ("", {}),
        (" \n", {}),
    ],
)
def test_arguments_become_what_the_function_wants(text, value):
    read = book.read(text)
    assert read == value
    assert [type(each) for each in read.values()] == [type(each) for each in value.values()]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"people": "2"}', "people must be a whole number"),
        ('{"people": 2.5}', "people must be a whole number"),
        ('{"people": true}', "people must be a whole number"),
        ('{"people": null}', "people must be a whole number"),
        ('{"price": "much"}', "price must be a number"),
        ('{"price": 1' + "0" * 400 + "}", "price is too large"),
        ('{"price": NaN}', "the arguments are no valid JSON: write one JSON object"),
        ('{"sure": "yes"}', "sure must be true or false"),
        ('{"room": "cellar"}', "room must be one of 'inside', 'garden'"),
        ('{"room": ["inside"]}', "room must be one of 'inside', 'garden'"),
        ('{"meal": 1}', "meal must be one of 'lunch', 'dinner'"),
        ('{"note": 3}', "note must be a text"),
        ('{"days": 1}', "days must be a list"),
        ('{"days": [1, "x"]}', "days[1] must be a whole number"),
        ('{"extras": [1]}', "extras must be an object"),
        ('{"extras": {"wine": "x"}}', "extras.wine must be a number"),
        ('{"guest": {}}', "guest.name is missing"),
        ('{"guest": {"name": "Ann", "size": 3}}', "there is no argument guest.size; there are: name, age, vip"),
        ('{"party": {"people": 0}}', "party: 'people' must be >= 1: 0"),
        ('{"when": 1}', "there is no argument when; there are: " + ", ".join(book.arguments.parts)),
        ("[]", "the arguments must be a JSON object"),
        ("null", "the arguments must be a JSON object"),
        ('{"people": 2', "the arguments are no valid JSON: write one JSON object"),
        ('{"people": 2} {}', "the arguments are no valid JSON: write one JSON object"),
        ("[" * 100_000, "the arguments are no valid JSON: write one JSON object"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_words_for_the_model(text, says):
    with pytest.raises(WrongArgument) as caught:
        book.read(text)
    assert str(caught.value) == says


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
anything = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
names = st.sampled_from(sorted(book.arguments.parts))


@given(st.text() | st.dictionaries(names, anything).map(json.dumps))
def test_nothing_that_a_model_can_write_raises_anything_else(text):
    with suppress(WrongArgument):
        assert set(book.read(text)) <= set(book.arguments.parts)


# --- results --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (None, "Done."),
        ("", "Done, without a result."),
        (3, "3"),
        ({"at": datetime.time(20, 0), "on": datetime.date(2026, 11, 23)}, '{"at": "20:00:00", "on": "2026-11-23"}'),
        ([Room.GARDEN, Party(2)], '["garden", {"people": 2}]'),
        (Guest("Änn", None), '{"name": "Änn", "age": null, "vip": false}'),
        ({"set": {1}}, '{"set": [1]}'),
    ],
)
def test_results_are_texts_or_json(value, text):
    assert result_text(value) == text


def test_a_result_that_json_cannot_hold_is_an_error_that_says_what_to_do():
    with pytest.raises(TypeError, match="returned a object: return a text"):
        result_text(object())


@pytest.mark.parametrize("length", [MAX_RESULT, MAX_RESULT + 1])
def test_a_result_is_cut_at_the_limit(length):
    text = result_text("x" * length)
    assert text.count("x") == MAX_RESULT
    assert ("Cut" in text) == (length > MAX_RESULT)


def test_a_stranger_s_error_tells_its_kind_alone():
    error: Any = ConnectionError("postgres://user:secret@10.0.0.1")
    assert error_text(error) == "Failed: an internal error (ConnectionError)."
    assert error_text(ToolError("no table\nleft")) == "Failed: no table left"
