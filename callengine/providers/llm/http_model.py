"""What all language models over HTTP share: the recipe's bounds, the session, the free request, the bill."""

from __future__ import annotations

import abc
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar

import attrs
import httpx

from callengine.errors import ProviderError
from callengine.ports import LlmEvent, Message, Opening, SessionContext, ToolSpec
from callengine.providers.fields import NOTHING, PATIENCE, positive
from callengine.providers.llm.conversation import merged
from callengine.providers.llm.http_stream import Bounds, ReplyReader, ReplyStream
from callengine.providers.llm.tokens import Bill, Tokens
from callengine.wire import Failures, Patience, StreamedBody, Wire, asked, shared_wire, tls_context
from callengine.wire.http import error_body

ASKING = 10.0
"""Seconds that a request which costs nothing may take."""


@attrs.frozen
class Warming:
    """A request that costs nothing, and opens the connection that the first reply will use."""

    url: str
    json: Mapping[str, Any] | None = None
    """Where there is one, it is a POST."""
    patience: float | None = None
    """Seconds that it may take; None: as long as the first word of a reply."""


@attrs.frozen
class HttpModel(abc.ABC):
    """Base of the recipes: a vendor says what it wants to be sent, and reads its stream.

    All calls share the connections of the engine's pool; a session has none of its own.
    """

    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds for TCP, and again for TLS."""
    first_token: float = attrs.field(default=PATIENCE, validator=positive, kw_only=True)
    """Seconds from the request to the first word. Keep-alives and reasoning do not extend it: the caller hears
    silence."""
    between_tokens: float = attrs.field(default=PATIENCE, validator=positive, kw_only=True)
    """Seconds without an event after the first word; keep-alives do not count as events."""
    extra: Mapping[str, Any] = attrs.field(default=NOTHING, kw_only=True)
    """Put over every request's body last, objects within it too: a vendor's own settings need no support here."""

    def __attrs_post_init__(self) -> None:
        # Now, while no call is waiting: the TLS context and the modules that a first client loads, 20 ms each.
        httpx.AsyncHTTPTransport(verify=tls_context())

    # --- what a vendor says -----------------------------------------------------------------------------------------

    vendor: ClassVar[str] = ""

    @property
    def provider(self) -> str:
        """The vendor, as a `Usage` names it."""
        return self.vendor

    @property
    @abc.abstractmethod
    def model(self) -> str:
        """The model, as the vendor calls it."""

    @property
    @abc.abstractmethod
    def api_key(self) -> str | None:
        """Which no error may show."""

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Where a reply is asked for."""

    @property
    @abc.abstractmethod
    def warming(self) -> Warming:
        """What readies a connection."""

    @property
    def asking(self) -> Warming:
        """What shows that the vendor takes the key."""
        return self.warming

    @abc.abstractmethod
    def headers(self) -> dict[str, str]:
        """Of every request: the key."""

    @abc.abstractmethod
    def body(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> dict[str, Any]:
        """A request's JSON, without ``extra``."""

    @abc.abstractmethod
    def reader(self, messages: Sequence[Message], failures: Failures) -> ReplyReader:
        """Reads the answer."""

    def refusal(self, failures: Failures, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """What an answer with another status than 200 means."""
        return failures.from_response(status, headers, body)

    def dispensable(self, status: int, body: bytes) -> str:
        """The key of the request's body that this server refused, and that can be left out; empty: none."""
        del status, body
        return ""

    # --- what they share --------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Vendor and model, for logs and errors."""
        return f"{self.provider} {self.model}"

    @property
    def idle_limit(self) -> float:
        """A session holds nothing that could time out."""
        return math.inf

    def failures(self) -> Failures:
        """Makes this recipe's errors."""
        return Failures(self.name, self.api_key)

    def request(self, http: httpx.AsyncClient, url: str, json: Mapping[str, Any] | None) -> httpx.Request:
        """A POST of this JSON, or a GET."""
        return http.build_request(
            "GET" if json is None else "POST",
            url,
            json=json,
            # Compressed streams arrive in lumps. All waits but for the connection have clocks of their own.
            headers={"Accept": "text/event-stream" if json else "*/*", "Accept-Encoding": "identity", **self.headers()},
            timeout=httpx.Timeout(None, connect=self.connect),
        )

    async def ask(self, http: httpx.AsyncClient, warming: Warming) -> None:
        """Make a request that costs nothing. Raises `ProviderError`."""
        failures = self.failures()
        seconds = warming.patience or ASKING

        def too_late() -> ProviderError:
            return failures.make(f"no answer within {seconds:g} s")

        async with asked(
            http, self.request(http, warming.url, warming.json), failures, Patience(seconds), too_late
        ) as answer:
            if answer.response.status_code != 200:
                said = await error_body(answer)
                raise self.refusal(failures, answer.response.status_code, answer.response.headers, said)
            while await answer.read() is not None:
                pass  # only an answer that was read to its end leaves a connection that can be used again

    async def probe(self, wire: Wire) -> None:
        """See `Probed`: ask for the vendor's models. Raises `ProviderError`."""
        await self.ask(wire.http, self.asking)

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[HttpLlmSession]:
        """One call's session. Connects with the first reply, or with `HttpLlmSession.prewarm`."""
        async with shared_wire(context.wire) as wire:
            yield HttpLlmSession(self, wire.http, context)


class HttpLlmSession:
    """One call's use of a language model over HTTP."""

    def __init__(self, recipe: HttpModel, http: httpx.AsyncClient, context: SessionContext) -> None:
        self._recipe = recipe
        self._http = http
        self._context = context
        self._failures = recipe.failures()
        self._left_out: set[str] = set()

    async def prewarm(self) -> None:
        """Have a connection ready, by a request that costs nothing. Raises `ProviderError`."""
        await self._recipe.ask(self._http, self._recipe.warming)

    @asynccontextmanager
    async def reply(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> AsyncIterator[AsyncIterator[LlmEvent]]:
        """Stream the next assistant message.

        Entering sends the request and waits for the answer's head. Both entering and iterating raise `ProviderError`.
        Leaving closes the HTTP stream at once, under cancellation too, and a vendor then stops generating; after a
        reply that was read to its end the connection is kept for the next. What it cost is told to the meter then; a
        request that was refused, or did not arrive, costs nothing.
        """
        recipe = self._recipe
        bounds = Bounds(recipe.first_token, recipe.between_tokens)
        patience = Patience(bounds.first_token)
        reader = recipe.reader(messages, self._failures)
        bill = Bill(messages, tools)
        costs = True
        try:
            async with AsyncExitStack() as stack:
                try:
                    body = await self._answer(stack, messages, tools, patience)
                except ProviderError:
                    costs = patience.left < 0.001  # it took the request, and has been at work since
                    raise
                yield ReplyStream(body, reader, bill, bounds, self._failures)
        finally:
            if costs:
                told: Tokens = reader.tokens
                usage = bill.usage(recipe.provider, recipe.model, told, complete=reader.finished or reader.done)
                self._context.meter(usage)

    async def _answer(
        self, stack: AsyncExitStack, messages: Sequence[Message], tools: Sequence[ToolSpec], patience: Patience
    ) -> StreamedBody:
        """The body of the vendor's answer; the stack closes it."""
        while True:
            request = self._request(messages, tools)
            answer = await stack.enter_async_context(
                asked(self._http, request, self._failures, patience, self._no_first_word)
            )
            status, headers = answer.response.status_code, answer.response.headers
            kind = headers.get("content-type", "")
            if status == 200 and "html" not in kind and "json" not in kind:
                return answer
            said = await error_body(answer)
            if status == 200:
                raise self._no_stream(kind, said, headers)
            refused = self._recipe.dispensable(status, said)
            if not refused or refused in self._left_out:
                raise self._recipe.refusal(self._failures, status, headers, said)
            self._left_out.add(refused)  # this server does not know it, and will not learn it during the call
            await stack.aclose()

    def _request(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> httpx.Request:
        recipe = self._recipe
        body = recipe.body(messages, tools)
        settings = merged({key: value for key, value in body.items() if key not in self._left_out}, recipe.extra)
        self._context.opening(Opening("llm", recipe.provider, recipe.url, settings))
        return recipe.request(self._http, recipe.url, settings)

    def _no_stream(self, kind: str, said: bytes, headers: Mapping[str, str]) -> ProviderError:
        if b'"error"' in said:
            return self._recipe.refusal(self._failures, 200, headers, said)
        return self._failures.make(
            f"the answer is {kind}, not a stream: is base_url complete (often it ends in /v1)?", fault="fatal"
        )

    def _no_first_word(self) -> ProviderError:
        return self._failures.make(f"no first word within {self._recipe.first_token:g} s")
