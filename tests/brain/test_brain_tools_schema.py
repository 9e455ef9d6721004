"""Typed functions as tools: what a model is told of them, and what is refused at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypedDict

import attrs
import pytest

from callengine import Agent, BlockingCall, Call, ConfigurationError
from callengine.tools import Tool, end_call, tool

if TYPE_CHECKING:
    from decimal import Decimal


class Room(Enum):
    INSIDE = "inside"
    GARDEN = "garden"


class Size(Enum):
    SMALL = 1
    LARGE = 2


class Mixed(Enum):
    ONE = 1
    TWO = "two"


@dataclasses.dataclass
class Guest:
    name: str
    age: int | None
    vip: bool = False


@attrs.frozen
class Dish:
    name: str
    price: float
    allergens: tuple[str, ...] = attrs.field(default=(), init=False)


class Address(TypedDict):
    street: str
    floor: NotRequired[int]


def properties(function: Any) -> dict[str, Any]:
    return tool(function).spec.parameters["properties"]


def test_every_kind_of_annotation_has_its_schema():
    def book(
        a: str,
        b: int,
        c: float,
        d: bool,
        e: Literal["yes", "no"],
        f: Literal[1, 2],
        g: Room,
        h: Size,
        i: list[int],
        j: Sequence[str],
        k: dict[str, float],
        m: Annotated[str, "the name"],
        n: str | None,
    ):
        """Book."""

    text, whole = {"type": "string"}, {"type": "integer"}
    assert tool(book).spec.parameters == {
        "type": "object",
        "properties": {
            "a": text,
            "b": whole,
            "c": {"type": "number"},
            "d": {"type": "boolean"},
            "e": {"type": "string", "enum": ["yes", "no"]},
            "f": {"type": "integer", "enum": [1, 2]},
            "g": {"type": "string", "enum": ["inside", "garden"]},
            "h": {"type": "integer", "enum": [1, 2]},
            "i": {"type": "array", "items": whole},
            "j": {"type": "array", "items": text},
            "k": {"type": "object", "additionalProperties": {"type": "number"}},
            "m": {"type": "string", "description": "the name"},
            "n": text,
        },
        "required": ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "m"],
    }


def test_records_are_objects():
    def book(guest: Guest, dishes: list[Dish], to: Address):
        """Book."""

    text = {"type": "string"}
    assert properties(book) == {
        "guest": {
            "type": "object",
            "properties": {"name": text, "age": {"type": "integer"}, "vip": {"type": "boolean"}},
            "required": ["name"],
        },
        "dishes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": text, "price": {"type": "number"}},
                "required": ["name", "price"],
            },
        },
        "to": {"type": "object", "properties": {"street": text, "floor": {"type": "integer"}}, "required": ["street"]},
    }


def test_what_has_a_default_may_be_left_out():
    def book(people: int, room: Room = Room.INSIDE, note: str | None = None):
        """Book."""

    assert tool(book).spec.parameters["required"] == ["people"]


def test_a_tool_without_arguments_has_an_empty_object():
    def book():
        """Book."""

    assert tool(book).spec.parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    "docstring",
    [
        """Book a table.

        It holds for
        a quarter of an hour.

        Args:
            people: how many come,
                children included
            name (str): of the caller

        Returns:
            people: not this
        """,
        """Book a table.

        It holds for
        a quarter of an hour.

        people: how many come,
        children included
        name: of the caller
        """,
        """Book a table.

        It holds for
        a quarter of an hour.

        :param people: how many come, children included
        :param name: of the caller
        :returns: nothing
        """,
    ],
)
def test_the_docstring_says_what_it_does_and_what_each_argument_is(docstring):
    def book(people: int, name: str):
        pass

    book.__doc__ = docstring
    spec = tool(book).spec
    assert spec.description == "Book a table.\n\nIt holds for\na quarter of an hour."
    assert spec.parameters["properties"] == {
        "people": {"type": "integer", "description": "how many come, children included"},
        "name": {"type": "string", "description": "of the caller"},
    }


def test_lines_with_colons_about_other_things_belong_to_the_description():
    def book(people: int):
        """Book a table.

        Note: only for today.
        """

    assert tool(book).spec.description == "Book a table.\n\nNote: only for today."


def test_an_annotation_s_own_words_come_before_the_docstring_s():
    def book(people: Annotated[int, "heads"]):
        """Book.

        people: how many
        """

    assert properties(book)["people"]["description"] == "heads"


def test_the_call_is_no_argument():
    def by_name(call, people: int):
        """Book."""

    def by_type(people: int, phone: Call):
        """Book."""

    def blocking(phone: BlockingCall):
        """Book."""

    assert tool(by_name).call == "call"
    assert (tool(by_type).call, tool(blocking).call) == ("phone", "phone")
    assert list(properties(by_name)) == list(properties(by_type)) == ["people"]


def unsupported() -> dict[str, Any]:
    def bytes_(a: bytes):
        """Book."""

    def anything(a: Any):
        """Book."""

    def either(a: int | str):
        """Book."""

    def keys(a: dict[int, str]):
        """Book."""

    def bare(a):
        """Book."""

    def mixed(a: Mixed):
        """Book."""

    def no_docstring(a: int):
        pass

    def many(*a: int):
        """Book."""

    def more(**a: int):
        """Book."""

    def positional(a: int, /):
        """Book."""

    def hidden(a: Decimal):
        """Book."""

    def inner(a: list[set[str]]):
        """Book."""

    return dict(locals())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("bytes_", "its parameter 'a' is a <class 'bytes'>, which a model cannot be told of: use str, int"),
        ("anything", "cannot be told of"),
        ("either", "cannot be told of"),
        ("keys", "cannot be told of"),
        ("bare", "annotate its parameter 'a' with one of str, int"),
        ("mixed", "cannot be told of"),
        ("no_docstring", "has no docstring: say in it what it does"),
        ("many", "takes \\*a: 'int': a model gives arguments by their names"),
        ("more", "by their names"),
        ("positional", "by their names"),
        ("hidden", "the annotation of 'a' cannot be found .*TYPE_CHECKING"),
        ("inner", "cannot be told of"),
    ],
)
def test_what_a_model_cannot_be_told_of_is_refused_at_once_and_the_error_says_what_to_do(name, says):
    function = unsupported()[name]
    with pytest.raises(ConfigurationError, match=f"the tool '{name}'.*{says}"):
        tool(function)
    with pytest.raises(ConfigurationError, match=says):
        Agent(tools=(function,))


def test_a_call_that_only_a_type_checker_knows_is_fine():
    def book(call: Decimal, people: int):
        """Book."""

    assert tool(book).call == "call"


@pytest.mark.parametrize("name", ["", "two words", "1st", "a" * 65, "über"])
def test_a_name_that_some_vendor_refuses_is_refused(name):
    def book():
        """Book."""

    assert tool(name="book_a-table1")(book).name == "book_a-table1"
    if name:
        with pytest.raises(ConfigurationError, match="cannot be called"):
            tool(name=name)(book)
    else:
        assert tool(name=name)(book).name == "book"


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan")])
def test_a_timeout_is_some_time(timeout):
    with pytest.raises(ConfigurationError, match="timeout"):

        @tool(timeout=timeout)
        def book():
            """Book."""


def test_a_tool_is_a_function():
    async def stream():
        """Stream."""
        yield 1

    for thing in (stream, Guest, 3):
        with pytest.raises(ConfigurationError, match="a tool is a function"):
            tool(thing)


async def test_a_tool_can_be_called_like_its_function():
    @tool
    async def book(people: int) -> str:
        """Book."""
        return f"for {people}"

    assert isinstance(book, Tool)
    assert await book(2) == "for 2"


def test_an_agent_takes_functions_and_tools_and_no_two_of_a_name():
    def book():
        """Book."""

    agent = Agent(tools=[book, end_call])
    assert [each.name for each in agent.tools] == ["book", "end_call"]
    with pytest.raises(ConfigurationError, match="two of the agent's tools are called 'book'"):
        Agent(tools=(book, tool(book)))
    with pytest.raises(ConfigurationError, match="give a list of tools"):
        Agent(tools=book)
