"""What Telnyx's error answers mean.

Source: https://developers.telnyx.com/development/api-fundamentals/api-errors
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from callengine.carriers.rest import Problem, default_fault
from callengine.errors import CarrierFault

NOT_ANSWERED_YET = "90034"
NO_STREAM = frozenset({"90046", "90048"})
"""Media streaming failed, or is not used: nothing is there to stop."""

_FAULTS: Mapping[str, CarrierFault] = {
    "10005": "gone",
    "10009": "configuration",
    "10011": "rate",
    "40318": "rate",
    "90015": "gone",
    "90018": "gone",
}
"""Where the code says more than the HTTP status: resource not found, authentication, too many requests, a message queue
that is full, a ``call_control_id`` that is not (any more) valid, a call that has ended."""


def read_problem(response: httpx.Response) -> Problem:
    """The first error of an answer; `callengine.carriers.rest.ReadProblem`. The body may be anything."""
    first = _first_error(response)
    code, title, detail = (_text(first.get(name)) for name in ("code", "title", "detail"))
    fault = _FAULTS.get(code) or default_fault(response.status_code)
    message = ": ".join(part for part in (title, detail) if part) or f"HTTP {response.status_code}"
    return Problem(fault, message, code[:20])


def _first_error(response: httpx.Response) -> Mapping[str, Any]:
    try:
        first = response.json()["errors"][0]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return first if isinstance(first, dict) else {}


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) else ""
