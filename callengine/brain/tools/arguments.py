"""What a model wrote as a tool's arguments, checked. Nothing runs that does not fit."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from callengine.brain.tools.kinds import Record, WrongArgument


def read_arguments(text: str, arguments: Record) -> dict[str, Any]:
    """The keyword arguments. An empty text is no arguments: some vendors write nothing for a tool that takes none.

    Raises `WrongArgument`, worded for the model.
    """
    try:
        value = json.loads(text, parse_constant=_refuse) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise WrongArgument("the arguments are no valid JSON: write one JSON object") from error
    fields: dict[str, Any] = arguments.read(value, "")
    return fields


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
