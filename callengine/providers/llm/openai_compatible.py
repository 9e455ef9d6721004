"""Any server that speaks OpenAI's Chat Completions.

That is OpenAI itself, Groq, Cerebras, Together, OpenRouter, Ollama, vLLM, llama.cpp's server and most others.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import attrs
import httpx

from callengine.cleanup import bounded_cleanup
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import LlmEvent, Message, SessionContext, ToolSpec
from callengine.providers.llm.http_stream import CLOSE_PATIENCE, ReplyStream, close_response
from callengine.wire.failures import Failures
from callengine.wire.http import Patience, transport_errors
from callengine.wire.network import tls_context

_KEEP_ALIVE = 90.0
"""Seconds an idle connection is kept between two replies of a call: longer than almost any caller speaks. A server
that closes earlier costs one new connection, nothing else."""

_MAX_ERROR_BODY = 65_536
"""Bytes of an error's body that are read."""


def _clean_url(url: str) -> str:
    return url.strip().rstrip("/")


def _clean_key(key: str | None) -> str | None:
    return (key.strip() or None) if key is not None else None


def _check_url(_: object, __: object, url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable or parts.username or parts.query or not url.isprintable():
        raise ConfigurationError(
            "base_url must look like https://api.example.com/v1 (http or https, a host, no user or query)"
        )


def _check_key(_: object, __: object, key: str | None) -> None:
    # The HTTP client would name the whole header in its error, so a bad key is refused here, unseen.
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigurationError(
            "api_key has characters that no key has (spaces, line breaks, non-ASCII): copy it again"
        )


def _check_present(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if not value.strip():
        raise ConfigurationError(f"{attribute.name} is empty")


def _check_positive(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        raise ConfigurationError(f"{attribute.name} must be greater than 0, not {value}")


@attrs.frozen
class OpenAICompatible:
    """The recipe of a language model behind a Chat Completions URL.

    ``base_url`` is what comes before ``/chat/completions``, as in ``https://api.openai.com/v1``. ``extra`` is merged
    into every request's body last, so that a vendor's own settings need no support here (``{"reasoning_effort":
    "none"}`` at OpenAI). Raises `ConfigurationError` for values that cannot work.

    Each session has an HTTP client of its own: it costs 0.1 ms, shares the process's TLS context, keeps one
    connection alive between the replies of its call, and is gone with the call.
    """

    base_url: str = attrs.field(converter=_clean_url, validator=_check_url)
    model: str = attrs.field(validator=_check_present)
    api_key: str | None = attrs.field(default=None, repr=False, converter=_clean_key, validator=_check_key)
    temperature: float | None = None
    """Not sent where None: reasoning models refuse it."""
    max_tokens: int | None = attrs.field(default=None, validator=_check_positive)
    """Sent as ``max_tokens``, but to OpenAI, which deprecates that name, as ``max_completion_tokens``."""
    connect: float = attrs.field(default=5.0, validator=_check_positive)
    """Seconds for TCP, and again for TLS."""
    first_token: float = attrs.field(default=10.0, validator=_check_positive)
    """Seconds from the request to the first word. Keep-alives and reasoning do not extend it: the caller hears
    silence."""
    between_tokens: float = attrs.field(default=10.0, validator=_check_positive)
    """Seconds without an event after the first word; keep-alive comments do not count as events."""
    extra: Mapping[str, Any] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        # Now, while no call is waiting: the TLS context and the modules that a first client loads, 20 ms each.
        httpx.AsyncHTTPTransport(verify=self._verify())

    @property
    def name(self) -> str:
        """Model and host, for logs and errors."""
        return f"{self.model} at {urlsplit(self.base_url).hostname}"

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[OpenAICompatibleSession]:  # noqa: ARG002 - the port's
        """One call's session. Connects with the first reply; leaving closes every connection."""
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}  # compressed streams arrive in lumps
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        client = httpx.AsyncClient(
            headers=headers,
            verify=self._verify(),
            timeout=httpx.Timeout(self.connect, read=None, pool=None),  # reading has its own clocks, below
            limits=httpx.Limits(keepalive_expiry=_KEEP_ALIVE),
        )
        try:
            yield OpenAICompatibleSession(self, client)
        finally:
            with bounded_cleanup(CLOSE_PATIENCE):
                await client.aclose()

    def _verify(self) -> ssl.SSLContext | bool:
        return tls_context() if self.base_url.startswith("https:") else False

    def body(self, messages: Sequence[Message], *, ask_usage: bool) -> dict[str, Any]:
        """The JSON of a request."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "stream": True,
        }
        if ask_usage:
            body["stream_options"] = {"include_usage": True}
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.max_tokens is not None:
            openai = urlsplit(self.base_url).hostname == "api.openai.com"
            body["max_completion_tokens" if openai else "max_tokens"] = self.max_tokens
        return {**body, **self.extra}


class OpenAICompatibleSession:
    """One call's use of an `OpenAICompatible` recipe."""

    def __init__(self, recipe: OpenAICompatible, client: httpx.AsyncClient) -> None:
        self._recipe = recipe
        self._client = client
        self._failures = Failures(recipe.name, recipe.api_key)
        self._ask_usage = True

    @asynccontextmanager
    async def reply(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncIterator[AsyncIterator[LlmEvent]]:
        """Stream the next assistant message: `TextDelta` values, then a `Usage` where the server tells it.

        Entering sends the request and waits for the response's head. Both entering and iterating raise
        `ProviderError`. Leaving closes the HTTP stream at once, under cancellation too, and a server then stops
        generating; after a reply that was read to its end the connection is kept for the next.
        """
        del tools
        patience = Patience(self._recipe.first_token)
        response = await self._request(messages, patience)
        recipe = self._recipe
        stream = ReplyStream(response, patience, recipe.first_token, recipe.between_tokens, self._failures)
        try:
            yield stream
        finally:
            await stream.aclose()

    async def _request(self, messages: Sequence[Message], patience: Patience) -> httpx.Response:
        response = await self._send(messages, patience)
        if self._ask_usage and response.status_code in (400, 422):
            body = await self._error_body(response, patience)
            if b"stream_options" not in body and b"include_usage" not in body:
                raise self._failures.from_response(response.status_code, response.headers, body)
            self._ask_usage = False  # this server does not know the option; it will not learn it during the call
            response = await self._send(messages, patience)
        content_type = response.headers.get("content-type", "")
        if response.status_code != 200:
            body = await self._error_body(response, patience)
            raise self._failures.from_response(response.status_code, response.headers, body)
        if "html" in content_type or "json" in content_type:
            body = await self._error_body(response, patience)
            if b'"error"' in body:
                raise self._failures.from_response(200, response.headers, body)
            raise self._failures.make(
                f"the answer is {content_type}, not a stream: is base_url complete (often it ends in /v1)?",
                fault="fatal",
            )
        return response

    async def _send(self, messages: Sequence[Message], patience: Patience) -> httpx.Response:
        request = self._client.build_request(
            "POST",
            f"{self._recipe.base_url}/chat/completions",
            json=self._recipe.body(messages, ask_usage=self._ask_usage),
        )
        with patience.waiting(self._no_first_word), transport_errors(self._failures):
            return await self._client.send(request, stream=True)

    async def _error_body(self, response: httpx.Response, patience: Patience) -> bytes:
        body = bytearray()
        chunks = response.aiter_bytes()
        try:
            with patience.waiting(self._no_first_word), transport_errors(self._failures):
                async for chunk in chunks:
                    body += chunk
                    if len(body) > _MAX_ERROR_BODY:
                        break
        finally:
            await close_response(response, chunks)
        return bytes(body)

    def _no_first_word(self) -> ProviderError:
        return self._failures.make(f"no first word within {self._recipe.first_token:g} s")
