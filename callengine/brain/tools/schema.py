"""From a typed function with a docstring to what a model is told of it, and back from what the model writes."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import attrs

from callengine.brain.tools.kinds import PLAIN, Described, Kind, Many, Maybe, Named, Part, Record, choices
from callengine.errors import ConfigurationError

_CALL_TYPES = ("callengine.call.call.Call", "callengine.call.story.BlockingCall")
"""A parameter of these gets the call; so does one that is named ``call``."""

_USABLE = (
    "str, int, float, bool, Literal, Enum, list, dict[str, ...], a dataclass, an attrs class or a TypedDict, "
    "each also with `| None` or in Annotated[..., 'description']"
)

_ARGUMENTS = re.compile(r"(?:Args|Arguments|Parameters|Params):")
_OTHERS = re.compile(r"(?:Returns?|Raises|Yields?|Examples?):.*|:(?:returns?|rtype|raises?)\b.*")
"""Begins what only a reader of the code wants to know."""
_LINE = re.compile(r"(?::param\s+)?[*`]*(\w+)[*`]*\s*(?:\([^)]*\))?\s*:\s*(.*)")


@attrs.frozen
class Signature:
    """What a function takes: the model's arguments, and under which name it wants the call (None: it does not)."""

    description: str
    arguments: Record
    call: str | None


def signature_of(function: Callable[..., Any], name: str) -> Signature:
    """Read a tool's function. Raises `ConfigurationError` for what a model cannot be told, and says what to do."""
    where = f"the tool {name!r}"
    names = inspect.signature(function).parameters
    description, texts = read_docstring(function.__doc__ or "", tuple(names))
    if not description:
        raise ConfigurationError(f"{where} has no docstring: say in it what it does, the model decides by that")
    hints = _hints(function, where)
    parts: dict[str, Part] = {}
    call = None
    for parameter in names.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigurationError(
                f"{where} takes {parameter}: a model gives arguments by their names, name each of them"
            )
        hint = hints.get(parameter.name)
        if parameter.name == "call" or _is_call(hint):
            call = parameter.name
            continue
        if hint is None:
            raise ConfigurationError(f"{where}: annotate its parameter {parameter.name!r} with one of {_USABLE}")
        kind = kind_of(hint, f"{where}: its parameter {parameter.name!r}")
        if parameter.name in texts and not isinstance(kind, Described):
            kind = Described(kind, texts[parameter.name])
        parts[parameter.name] = _part(kind, parameter.default is parameter.empty)
    return Signature(description, Record(parts), call)


def kind_of(hint: Any, where: str) -> Kind:
    """The kind of an annotation. Raises `ConfigurationError`, which begins with ``where``, for one that has none."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        kind = kind_of(arguments[0], where)
        text = next((extra for extra in arguments[1:] if isinstance(extra, str)), None)
        return kind if text is None else Described(kind, text)
    kind_found: Kind | None = None
    if origin in (Required, NotRequired):
        return kind_of(arguments[0], where)
    if origin is Literal:
        kind_found = choices({value: value for value in arguments})
    elif origin in (Union, types.UnionType):
        rest = [each for each in arguments if each is not type(None)]
        if len(rest) == 1 and len(arguments) == 2:
            kind_found = Maybe(kind_of(rest[0], where))
    elif origin in (list, Sequence):
        kind_found = Many(kind_of(arguments[0], where))
    elif origin in (dict, Mapping) and arguments[0] is str:
        kind_found = Named(kind_of(arguments[1], where))
    elif isinstance(hint, type):
        kind_found = _kind_of_class(hint, where)
    if kind_found is None:
        raise ConfigurationError(f"{where} is a {hint!r}, which a model cannot be told of: use {_USABLE}")
    return kind_found


def _kind_of_class(hint: type, where: str) -> Kind | None:
    if hint in PLAIN:
        return PLAIN[hint]
    if issubclass(hint, Enum):
        return choices(hint)
    if is_typeddict(hint):
        usual: frozenset[str] = getattr(hint, "__required_keys__", frozenset())
        marks = {name: get_origin(each) for name, each in _hints(hint, where).items()}  # may be hidden in strings
        needed = {name: mark is Required or (name in usual and mark is not NotRequired) for name, mark in marks.items()}
        return _record(hint, {name: (name, required) for name, required in needed.items()}, where)
    missing = dataclasses.MISSING
    if dataclasses.is_dataclass(hint):
        made = [field for field in dataclasses.fields(hint) if field.init]
        needed = {each.name: each.default is missing and each.default_factory is missing for each in made}
        return _record(hint, {name: (name, required) for name, required in needed.items()}, where)
    if attrs.has(hint):
        fields = [field for field in attrs.fields(hint) if field.init]
        return _record(hint, {each.alias: (each.name, each.default is attrs.NOTHING) for each in fields}, where)
    return None


def _record(cls: type, fields: Mapping[str, tuple[str, bool]], where: str) -> Record:
    """``fields``: by the name that the model uses, its name in the class, and whether it must be given."""
    hints = _hints(cls, where)
    parts = {
        name: _part(kind_of(hints[inner], f"{where}, {name!r} of it,"), required)
        for name, (inner, required) in fields.items()
    }
    return Record(parts, cls)


def _part(kind: Kind, required: bool) -> Part:
    """What may be null may be left out as well: not every vendor's schema knows null."""
    inner = kind.kind if isinstance(kind, Described) else kind
    if isinstance(inner, Maybe) and required:
        return Part(kind, False, or_none=True)
    return Part(kind, required)


def _is_call(hint: Any) -> bool:
    return isinstance(hint, type) and f"{hint.__module__}.{hint.__qualname__}" in _CALL_TYPES


def _hints(of: Any, where: str) -> dict[str, Any]:
    """Its annotations; that of the call may be a name that only a type checker knows."""
    try:
        return get_type_hints(of, include_extras=True)
    except NameError:
        pass
    except TypeError as error:
        raise ConfigurationError(f"{where} has annotations that cannot be read: {error}") from error
    hints: dict[str, Any] = {}
    for name, hint in getattr(of, "__annotations__", {}).items():
        if name in ("call", "return"):
            continue
        alone = types.SimpleNamespace(__annotations__={name: hint}, __globals__=getattr(of, "__globals__", {}))
        try:
            hints |= get_type_hints(alone, alone.__globals__, include_extras=True)
        except NameError as error:
            raise ConfigurationError(
                f"{where}: the annotation of {name!r} cannot be found ({error}): import it where the tool is written, "
                "and not only under TYPE_CHECKING"
            ) from error
    return hints


def read_docstring(docstring: str, names: Sequence[str]) -> tuple[str, dict[str, str]]:
    """What a docstring says: of the whole, and of each of these parameters (lines as in ``name: text``, in a section
    ``Args:`` or without one)."""
    description: list[str] = []
    texts: dict[str, list[str]] = {}
    current: list[str] | None = description
    arguments = True
    for line in inspect.cleandoc(docstring).splitlines():
        bare = line.strip()
        named = _LINE.fullmatch(bare) if arguments else None
        if named is not None and named[1] in names:
            current = texts[named[1]] = [named[2]]
        elif _ARGUMENTS.fullmatch(bare) or _OTHERS.fullmatch(bare):
            current, arguments = None, _ARGUMENTS.fullmatch(bare) is not None
        elif not bare and current is not description:
            current = None
        elif current is not None:
            current.append(bare)
    return "\n".join(description).strip(), {name: " ".join(lines).strip() for name, lines in texts.items()}
