"""What can be expected of a caller, and how far it is."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import attrs

from callengine.errors import ConfigurationError

EntityKind: TypeAlias = Literal["phone", "card", "email", "date", "time", "name", "spelling", "number", "address"]
"""Kinds of things that callers dictate."""


@attrs.frozen
class Expectation:
    """Something that the agent has asked for. Raises `ConfigurationError` for an unknown kind or an empty length."""

    kind: EntityKind = attrs.field()
    length: int | None = attrs.field(default=None)
    """With how many it is complete, if that is known: digits of a phone, card or other number, letters of a name that
    is spelled. For a date, 3 asks for the year too. None: as long as such things are."""

    @kind.validator
    def _known(self, _: Any, value: str) -> None:
        if value not in get_args(EntityKind):
            raise ConfigurationError(f"Expectation.kind is {value!r}: give one of {', '.join(get_args(EntityKind))}")

    @length.validator
    def _positive(self, _: Any, value: int | None) -> None:
        if value is not None and value < 1:
            raise ConfigurationError(f"Expectation.length is {value}: give 1 or more, or None where it is not known")


@attrs.frozen
class Progress:
    """How far an expected entity is in what the caller has said so far."""

    state: Literal["none", "partial", "complete"]
    """``none``: nothing of it is there."""
    reason: str
    """For people, without any of the caller's digits or letters."""


NOTHING = Progress("none", "nothing of it yet")


def word_set(words: str) -> frozenset[str]:
    """A list of words as it is written in these modules, with spaces between them."""
    return frozenset(words.split())


def partial(reason: str) -> Progress:
    """Some of it is there, and more is to come."""
    return Progress("partial", reason)


def complete(reason: str) -> Progress:
    """All of it is there."""
    return Progress("complete", reason)
