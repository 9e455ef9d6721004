"""Tools: functions that an agent's language model may call."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, overload

import attrs

from callengine.brain.tools.arguments import read_arguments
from callengine.brain.tools.kinds import Record
from callengine.brain.tools.schema import signature_of
from callengine.errors import CallEngineError, ConfigurationError
from callengine.ports import ToolSpec

TIMEOUT = 30.0
"""Seconds that a tool may take unless it says otherwise: as long as a caller waits who is told "one moment"."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""What every vendor takes: OpenAI has letters, digits, _ and - up to 64
(https://platform.openai.com/docs/api-reference/chat/create, tools), Gemini wants a letter or _ in front
(https://ai.google.dev/api/caching#FunctionDeclaration)."""


class ToolError(CallEngineError):
    """A tool could not do it; raise it in one. The message is for the model, which may tell the caller."""


def _name(_: object, __: attrs.Attribute[str], value: str) -> None:
    if not _NAME.fullmatch(value):
        raise ConfigurationError(
            f"a tool cannot be called {value!r}: use up to 64 letters, digits, _ and -, the first a letter or _"
        )


def _seconds(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"{attribute.name} is {value}: give seconds, more than 0")


@attrs.frozen(kw_only=True, eq=False)
class Tool:
    """A function that a model may call; made by `tool`. Calling it calls the function, for tests."""

    function: Callable[..., Any]
    name: str = attrs.field(validator=_name)
    description: str
    """What the model is told that it does: the docstring, without the lines about parameters."""
    arguments: Record = attrs.field(repr=False)
    call: str | None
    """The parameter that gets the call; None where there is none."""
    commit: bool
    """Whether it is run to its end although the caller interrupts the reply, or hangs up."""
    line: bool
    """Whether it uses the line itself (speaks, listens, presses keys, hands the caller over, hangs up): it is run when
    what the agent was saying has been heard."""
    timeout: float = attrs.field(validator=_seconds)
    """Seconds."""
    filler: str
    """Said as soon as it is called, where the model has said nothing itself; empty for nothing."""

    @property
    def spec(self) -> ToolSpec:
        """What the model is told."""
        return ToolSpec(self.name, self.description, self.arguments.schema)

    @property
    def blocking(self) -> bool:
        """Whether the function is a plain one, which is run in a thread."""
        return not inspect.iscoroutinefunction(self.function)

    def read(self, text: str) -> dict[str, Any]:
        """The model's arguments, checked. Raises `WrongArgument`."""
        return read_arguments(text, self.arguments)

    def run(self, arguments: dict[str, Any], call: object) -> Any:
        """Call the function with the arguments, and with the call where it wants that."""
        given = {} if self.call is None else {self.call: call}
        return self.function(**arguments, **given)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...


@overload
def tool(
    *, name: str = ..., commit: bool = ..., line: bool = ..., timeout: float = ..., filler: str = ...
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str = "",
    commit: bool = False,
    line: bool = False,
    timeout: float = TIMEOUT,
    filler: str = "",
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a typed function with a docstring: ``@tool``, or ``@tool(commit=True)``.

    ``name`` is the model's name for it (empty: the function's). See `Tool` for the others. What it returns is told to
    the model: a text as it is, other values as JSON. Raises `ConfigurationError` where a model cannot be told of it.
    """
    if function is None:
        return functools.partial(_make, name=name, commit=commit, line=line, timeout=timeout, filler=filler)
    return _make(function, name=name, commit=commit, line=line, timeout=timeout, filler=filler)


def _make(function: Callable[..., Any], *, name: str, commit: bool, line: bool, timeout: float, filler: str) -> Tool:
    if not inspect.isroutine(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"a tool is a function, with or without async, and not {function!r}")
    name = name or function.__name__
    signature = signature_of(function, name)
    return Tool(
        function=function,
        name=name,
        description=signature.description,
        arguments=signature.arguments,
        call=signature.call,
        commit=commit,
        line=line,
        timeout=timeout,
        filler=filler,
    )


def check_tools(tools: Iterable[Tool | Callable[..., Any]]) -> tuple[Tool, ...]:
    """An agent's tools; functions are made tools. Raises `ConfigurationError`."""
    if isinstance(tools, Tool) or callable(tools):
        raise ConfigurationError("give a list of tools, as in tools=(find_table,)")
    made = tuple(each if isinstance(each, Tool) else tool(each) for each in tools)
    for index, each in enumerate(made):
        if each.name in [other.name for other in made[:index]]:
            raise ConfigurationError(f"two of the agent's tools are called {each.name!r}: give one another name")
    return made
