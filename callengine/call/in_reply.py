"""Who has the line: a tool that runs inside a reply has not."""

from __future__ import annotations

from contextvars import ContextVar

from callengine.errors import ConfigurationError

_tool: ContextVar[str] = ContextVar("_tool", default="")


def runs_inside_reply(tool: str) -> None:
    """This task, and those that it starts, run this tool inside a reply."""
    _tool.set(tool)


def check_line(what: str) -> None:
    """Raise `ConfigurationError` in such a task: it would wait for the reply's end, and the reply for it."""
    if _tool.get():
        raise ConfigurationError(
            f"the tool {_tool.get()!r} cannot {what} inside a reply: make it with @tool(line=True)"
        )
