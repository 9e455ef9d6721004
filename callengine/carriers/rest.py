"""Requests to a carrier's REST API: bounded, repeated only where that is safe, with errors that say whose fault it is.

A request that was refused for its rate (429) was not processed, so it may always be repeated. One that got no answer,
or a server's error, may have been done: it is repeated only where doing it twice is doing it once (``repeatable``).

What an error says is the carrier's message on one line, without any of our credentials and with numbers masked.
"""

from __future__ import annotations

import json as json_text
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import attrs
import httpx
import trio

from callengine.errors import CarrierError, CarrierFault, ConfigurationError
from callengine.masking import scrub

TIMEOUT = 10.0
"""Seconds for one attempt, connection included."""
ATTEMPTS = 4
FIRST_PAUSE = 1.0
"""Seconds before the second attempt; each later pause is twice as long. The carriers document no figure."""
JITTER = 0.25
"""Part of a pause by which it may be longer, so that many calls do not come back at once."""
LONGEST_PAUSE = 15.0
"""Seconds of a ``Retry-After`` that are waited for; who asks for more is told that the carrier is busy."""

_URL = re.compile(r"https://[^\s/?#@]+(/[^\s?#]*)?|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/[^\s?#]*)?")
_SECRET = 8
"""Characters from which on a credential is looked for in what a carrier says; shorter ones are no secrets."""


@attrs.frozen
class Problem:
    """What a carrier's error answer says. `Rest` takes credentials and numbers out of the message."""

    fault: CarrierFault
    message: str
    code: str = ""


ReadProblem = Callable[[httpx.Response], Problem]


class Rest:
    """One carrier's API. ``read_problem`` understands its error bodies (which may be anything, HTML too)."""

    def __init__(
        self,
        carrier: str,
        http: httpx.AsyncClient,
        base_url: str,
        *,
        read_problem: ReadProblem,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
        attempts: int = ATTEMPTS,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._carrier = carrier
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._read_problem = read_problem
        self._auth = auth
        self._headers = dict(headers or {})
        self._timeout = timeout
        self._attempts = attempts
        self._chance = chance

    async def request(
        self,
        method: str,
        path: str,
        *,
        form: Sequence[tuple[str, str]] | None = None,
        json: Any = None,
        query: Sequence[tuple[str, str]] | None = None,
        repeatable: bool = False,
    ) -> Any:
        """The decoded JSON of a successful answer (None where it has no body). Raises `CarrierError`."""
        pause = FIRST_PAUSE
        for attempt in range(1, self._attempts + 1):
            response, failure = await self._attempt(method, path, form, json, query)
            if response is not None and response.is_success:
                return self._body(response)
            rate = response is not None and response.status_code == 429
            last = attempt == self._attempts
            if last or not (rate or (repeatable and (response is None or response.status_code >= 500))):
                raise self._error(response, failure)
            wanted = pause if response is None else _retry_after(response, pause)
            if wanted > LONGEST_PAUSE:
                raise self._error(response, failure)
            await trio.sleep(wanted * (1 + JITTER * self._chance()))
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(
        self,
        method: str,
        path: str,
        form: Sequence[tuple[str, str]] | None,
        json: Any,
        query: Sequence[tuple[str, str]] | None,
    ) -> tuple[httpx.Response | None, str]:
        content, content_type = _encode(form, json)
        with trio.move_on_after(self._timeout):
            try:
                response = await self._http.request(
                    method,
                    self._base_url + path,
                    content=content,
                    params=None if query is None else list(query),
                    headers=self._headers | content_type,
                    auth=self._auth,
                    follow_redirects=False,
                    timeout=None,  # ours counts, for the whole attempt
                )
            except httpx.HTTPError as error:  # its text may name a URL, which may name a number
                return None, f"no answer ({type(error).__name__})"
            return response, ""
        return None, f"no answer within {self._timeout:g} s"

    def _body(self, response: httpx.Response) -> Any:
        if not response.content.strip():
            return None
        try:
            return response.json()
        except (ValueError, RecursionError):
            raise CarrierError(self._carrier, "an answer that is not JSON", fault="unavailable") from None

    def _error(self, response: httpx.Response | None, failure: str) -> CarrierError:
        if response is None:
            return CarrierError(self._carrier, failure, fault="unavailable")
        problem = self._read_problem(response)
        return CarrierError(
            self._carrier, self._plain(problem.message), fault=problem.fault, code=self._plain(problem.code)
        )

    def _plain(self, text: str) -> str:
        for secret in (*(self._auth or ()), *self._headers.values()):
            for part in secret.split():  # of "Bearer KEY" the key
                if len(part) >= _SECRET:
                    text = text.replace(part, "***")
        return scrub(text)


def error_object(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of an error's body; empty where it is something else (a proxy's HTML page, say)."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def check_api_url(url: str, setting: str) -> str:
    """An API's address without a slash at its end. Raises `ConfigurationError` for what is not ``https``.

    Passwords go there with every request; unencrypted is only this machine, for simulated carriers.
    """
    if _URL.fullmatch(url) is None:
        raise ConfigurationError(f"{setting} must look like https://api.example.com, without a query: correct it")
    return url.rstrip("/")


def _encode(form: Sequence[tuple[str, str]] | None, json: Any) -> tuple[bytes | None, dict[str, str]]:
    """A request's body, whatever its text holds: halves of surrogate pairs (from a model, say) become ``?``."""
    if form is not None:
        return urlencode(list(form), errors="replace").encode(), {"content-type": "application/x-www-form-urlencoded"}
    if json is not None:
        return json_text.dumps(json, allow_nan=False).encode(), {"content-type": "application/json"}
    return None, {}


def default_fault(status: int) -> CarrierFault:
    """Whose fault an HTTP status is, where the carrier's own code does not say more."""
    if status in (401, 403):
        return "configuration"
    if status == 404:
        return "gone"
    if status == 429:
        return "rate"
    return "unavailable" if status >= 500 else "rejected"


def _retry_after(response: httpx.Response, default: float) -> float:
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:  # missing, or a date
        return default
    return default if math.isnan(seconds) else max(seconds, 0.0)


def is_at(url: str, host: str) -> bool:
    """Whether an ``https`` URL is at this host, or at one below it."""
    try:
        parts = urlsplit(url)
        name = (parts.hostname or "").rstrip(".")
    except ValueError:
        return False
    return bool(host) and parts.scheme == "https" and (name == host or name.endswith(f".{host}"))
