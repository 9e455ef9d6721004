"""Kinds of arguments: what a model is told of one (JSON schema), and how its JSON becomes the function's value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Protocol, TypeAlias

import attrs

Schema: TypeAlias = dict[str, Any]
"""Of the part of JSON schema that every vendor's function calling knows: type, description, enum, items, properties,
required, additionalProperties."""


class WrongArgument(Exception):
    """The model's JSON does not fit; the message is for the model."""


class Kind(Protocol):
    """One kind of argument."""

    @property
    def schema(self) -> Schema: ...

    def read(self, value: Any, where: str) -> Any:
        """The value of an argument of this kind. ``where`` names it, for errors. Raises `WrongArgument`."""


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


@attrs.frozen
class Plain:
    """A text, a number, or yes and no."""

    name: str
    type: type
    wanted: str
    fits: Callable[[Any], bool]

    @property
    def schema(self) -> Schema:
        return {"type": self.name}

    def read(self, value: Any, where: str) -> Any:
        """A whole number may be written as 3.0; a text is never taken for a number."""
        if (isinstance(value, bool) and self.type is not bool) or not self.fits(value):
            raise WrongArgument(f"{where} must be {self.wanted}")
        try:
            return self.type(value)
        except OverflowError as error:
            raise WrongArgument(f"{where} is too large") from error


PLAIN: Mapping[type, Plain] = {
    str: Plain("string", str, "a text", lambda value: isinstance(value, str)),
    int: Plain("integer", int, "a whole number", _is_whole),
    float: Plain("number", float, "a number", lambda value: isinstance(value, int | float)),
    bool: Plain("boolean", bool, "true or false", lambda value: isinstance(value, bool)),
}


@attrs.frozen
class Choice:
    """One of a few texts or whole numbers: a `Literal`'s, or the values of an `Enum`."""

    values: Mapping[str | int, Any]
    """What the model writes, and what the function gets."""

    @property
    def schema(self) -> Schema:
        texts = all(isinstance(value, str) for value in self.values)
        return {"type": "string" if texts else "integer", "enum": list(self.values)}

    def read(self, value: Any, where: str) -> Any:
        """The choice."""
        if isinstance(value, str | int) and not isinstance(value, bool) and value in self.values:
            return self.values[value]
        raise WrongArgument(f"{where} must be one of {', '.join(map(repr, self.values))}")


@attrs.frozen
class Maybe:
    """Something, or nothing: null, or left out."""

    kind: Kind

    @property
    def schema(self) -> Schema:
        return self.kind.schema

    def read(self, value: Any, where: str) -> Any:
        """None for null."""
        return None if value is None else self.kind.read(value, where)


@attrs.frozen
class Many:
    """A list."""

    kind: Kind

    @property
    def schema(self) -> Schema:
        return {"type": "array", "items": self.kind.schema}

    def read(self, value: Any, where: str) -> Any:
        """The list."""
        if not isinstance(value, list):
            raise WrongArgument(f"{where} must be a list")
        return [self.kind.read(item, f"{where}[{index}]") for index, item in enumerate(value)]


@attrs.frozen
class Named:
    """Values by names that the model chooses."""

    kind: Kind

    @property
    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": self.kind.schema}

    def read(self, value: Any, where: str) -> Any:
        """The dict."""
        if not isinstance(value, dict):
            raise WrongArgument(f"{where} must be an object")
        return {name: self.kind.read(item, f"{where}.{name}") for name, item in value.items()}


@attrs.frozen
class Described:
    """A kind with a description."""

    kind: Kind
    description: str

    @property
    def schema(self) -> Schema:
        return {**self.kind.schema, "description": self.description}

    def read(self, value: Any, where: str) -> Any:
        """As the kind does."""
        return self.kind.read(value, where)


@attrs.frozen
class Part:
    """One named argument, or one field of a record."""

    kind: Kind
    required: bool
    or_none: bool = False
    """Whether None is given where it is left out; else Python's own default is used."""


@attrs.frozen
class Record:
    """An object with known fields; ``make`` gets them by name."""

    parts: Mapping[str, Part]
    make: Callable[..., Any] = dict

    @property
    def schema(self) -> Schema:
        schema: Schema = {"type": "object"}
        schema["properties"] = {name: part.kind.schema for name, part in self.parts.items()}
        required = [name for name, part in self.parts.items() if part.required]
        return {**schema, "required": required} if required else schema

    def read(self, value: Any, where: str) -> Any:
        """The record that ``make`` makes of the fields that are there."""
        if not isinstance(value, dict):
            raise WrongArgument(f"{where or 'the arguments'} must be a JSON object")
        prefix = f"{where}." if where else ""
        for name in value:
            if name not in self.parts:
                known = ", ".join(self.parts) or "none"
                raise WrongArgument(f"there is no argument {prefix}{name}; there are: {known}")
        fields: dict[str, Any] = {}
        for name, part in self.parts.items():
            if name in value:
                fields[name] = part.kind.read(value[name], f"{prefix}{name}")
            elif part.required:
                raise WrongArgument(f"{prefix}{name} is missing")
            elif part.or_none:
                fields[name] = None
        try:
            return self.make(**fields)
        except (ValueError, TypeError) as error:  # a record's own check
            raise WrongArgument(f"{where or 'the arguments'}: {error}") from error


def choices(values: Mapping[Any, Any] | type[Enum]) -> Choice | None:
    """A choice of these, or None where a value is neither a text nor a whole number (or both kinds are mixed)."""
    pairs = {each.value: each for each in values} if isinstance(values, type) else dict(values)
    plain = {str} if any(isinstance(value, str) for value in pairs) else {int}
    return Choice(pairs) if pairs and all(type(value) in plain for value in pairs) else None
