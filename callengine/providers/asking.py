"""Two things that most vendors' recipes do alike: put settings into an address, and make a free request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx

from callengine.errors import ProviderError
from callengine.wire import Failures, Patience, Wire, streamed


def with_query(url: str, settings: Mapping[str, Any]) -> str:
    """The address with these settings as its query: booleans as ``true`` and ``false``, a list as a parameter that is
    repeated; None leaves one out."""
    pairs: list[tuple[str, str]] = []
    for name, value in settings.items():
        values = value if isinstance(value, list | tuple) else [value]
        pairs += [(name, _written(each)) for each in values if each is not None]
    return f"{url}?{urlencode(pairs)}" if pairs else url


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def over_http(url: str) -> str:
    """The same host by ``http`` (or ``https``), for a base URL that is one of WebSockets."""
    return "http" + url.removeprefix("ws") if url.startswith("ws") else url


async def ask_free(wire: Wire, url: str, headers: Mapping[str, str], failures: Failures, timeout: float) -> None:
    """GET this, and read the answer to its end, so that the connection is kept for what comes.

    ``timeout`` is the time in seconds for all of it. Raises `ProviderError` for any status but 200.
    """
    request = httpx.Request("GET", url, headers=headers)

    def too_late() -> ProviderError:
        return failures.make(f"no answer within {timeout:g} s")

    async with streamed(wire.http, request, failures, Patience(timeout), too_late) as body:
        while await body.read() is not None:
            pass
