"""Fetching what a stranger's URL names, without being sent to where strangers must not get.

The URLs of recordings and pictures come in carriers' messages, and others through a caller's or a model's words. Who
fetches them from inside a network is a door into it (https://owasp.org/Top10/A10_2021-Server-Side_Request_Forgery_%28SSRF%29/),
unless every address is looked at, and the connection goes to an address that was looked at.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from functools import cache
from io import BytesIO

import attrs
import httpx
import trio

from callengine.addresses import is_own_name, is_public, literal_address
from callengine.errors import CallEngineError
from callengine.masking import scrub

MAX_BYTES = 64 * 1024 * 1024
"""Half an hour of a recording as WAV in two channels (8 kHz, 16 bits a sample) has 55 MiB."""
TIMEOUT = 60.0
"""Seconds for everything, redirects included."""
CONNECT_TIMEOUT = 5.0
"""Seconds for one of a name's addresses, before the next is tried."""
REDIRECTS = 3
MAX_URL = 8_192
"""Characters; signed URLs of the clouds' stores have about 2,000."""
MAX_ADDRESSES = 4
"""Addresses of a name that are tried. All are looked at."""

_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The IP addresses of a host name, best first. Raises `OSError` where it has none."""


class FetchRefused(CallEngineError):
    """A URL, or what it led to, is not fetched: it leads into a private network, is malformed, or too large.

    The message says why, without the URL.
    """


class FetchFailed(CallEngineError):
    """There was no answer, or an error; another try may help. ``status`` is the answer's, where there was one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@attrs.frozen
class _Rules:
    allow_private: bool
    ports: frozenset[int] | None
    max_bytes: int
    resolve: Resolve
    tls: ssl.SSLContext | None


async def resolve_name(name: str) -> list[str]:
    """The addresses that this machine's resolver has for a name. Raises `OSError`."""
    found = await trio.socket.getaddrinfo(name, None, type=trio.socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def fetch(
    url: str,
    *,
    http: httpx.AsyncClient | None = None,
    auth: tuple[str, str] | None = None,
    max_bytes: int = MAX_BYTES,
    timeout: float = TIMEOUT,
    redirects: int = REDIRECTS,
    ports: Collection[int] | None = None,
    allow_private: bool = False,
    resolve: Resolve = resolve_name,
    tls: ssl.SSLContext | None = None,
) -> bytes:
    """The bytes behind a URL that a caller, a carrier's message or a model may have chosen.

    Only ``https`` to one of ``ports`` (443), without a user in the URL. A name is resolved once, all its addresses must
    be public, and the connection goes to one of them, so that a name which leads elsewhere the next time gains nothing;
    the certificate is checked for the name. ``redirects`` are followed, each looked at like the first URL. ``auth``
    (user and password) goes to the first URL's host only. ``timeout`` is in seconds for everything. Compressed bodies
    are not asked for and not taken. ``allow_private`` also permits ``http``, private hosts and, unless ``ports`` says
    otherwise, all ports.

    Connections are made for this alone, and through no proxy, so of ``http`` nothing is used, with one exception: a
    client whose transport is not httpx's own has a network of its own, such as a simulated one. Then it is asked, names
    are not resolved here, and where they lead is its business. ``tls`` is which authorities are trusted; None: those of
    the ``certifi`` package.

    Raises `FetchRefused` for what is not allowed, and `FetchFailed` where the other side fails.
    """
    ports = (None if allow_private else (443,)) if ports is None else ports
    rules = _Rules(allow_private, None if ports is None else frozenset(ports), max_bytes, resolve, tls)
    with trio.move_on_after(timeout):
        return await _follow(_parse(url), None if http is None else _own_network(http), auth, redirects, rules)
    raise FetchFailed(f"the file did not come within {timeout:g} s")


async def _follow(
    url: httpx.URL, http: httpx.AsyncClient | None, auth: tuple[str, str] | None, redirects: int, rules: _Rules
) -> bytes:
    for _ in range(redirects + 1):
        target = await _ask(url, http, auth, rules)
        if isinstance(target, bytes):
            return target
        if (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port):
            auth = None  # and it does not come back, wherever the next redirect leads
        url = target
    raise FetchRefused(f"the file was not fetched: more than {redirects} redirects")


async def _ask(
    url: httpx.URL, http: httpx.AsyncClient | None, auth: tuple[str, str] | None, rules: _Rules
) -> bytes | httpx.URL:
    """What is behind a URL: the body, or where it is instead."""
    host = _check(url, rules)
    async with AsyncExitStack() as stack:
        try:
            if http is None:
                response = await _connect(url, await _addresses(host, rules), auth, rules, stack)
            else:
                request = httpx.Request("GET", url, headers=_headers(auth))
                response = await http.send(request, stream=True, auth=None, follow_redirects=False)
                stack.push_async_callback(response.aclose)
            if response.status_code in _REDIRECTIONS and "location" in response.headers:
                return _parse(response.headers["location"], base=url)
            if not response.is_success:
                raise FetchFailed(f"{scrub(host)} answered {response.status_code}", response.status_code)
            return await _body(response, rules.max_bytes)
        except (httpx.HTTPError, httpx.StreamError) as error:  # its text may hold the URL
            raise FetchFailed(f"no answer from {scrub(host)} ({type(error).__name__})") from None


async def _connect(
    url: httpx.URL, addresses: Sequence[str], auth: tuple[str, str] | None, rules: _Rules, stack: AsyncExitStack
) -> httpx.Response:
    """The answer's head, on a connection of its own to one of these addresses."""
    tls = await trio.to_thread.run_sync(_authorities) if rules.tls is None else rules.tls
    extensions = {"sni_hostname": _ascii_host(url), "timeout": {"connect": CONNECT_TIMEOUT}}
    headers = {"host": url.netloc.decode("ascii"), **_headers(auth)}
    for left, address in zip(reversed(range(len(addresses))), addresses, strict=True):
        transport = await stack.enter_async_context(httpx.AsyncHTTPTransport(verify=tls))
        request = httpx.Request("GET", url.copy_with(host=address), headers=headers, extensions=extensions)
        try:
            response = await transport.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if left:
                continue
            raise
        stack.push_async_callback(response.aclose)
        response.request = request
        return response
    raise AssertionError("there is at least one address")


async def _body(response: httpx.Response, max_bytes: int) -> bytes:
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise FetchRefused("the file was not fetched: it is compressed, and could become larger without end")
    announced = response.headers.get("content-length", "")
    body = BytesIO()  # a large body is not copied at its end
    if not (announced.isdecimal() and int(announced) > max_bytes):
        async for piece in response.aiter_bytes():
            body.write(piece)
            if body.tell() > max_bytes:
                break
        else:
            return body.getvalue()
    raise FetchRefused(f"the file was not fetched: it has more than {max_bytes} bytes (max_bytes)")


def _parse(text: str, base: httpx.URL | None = None) -> httpx.URL:
    if len(text) > MAX_URL:
        raise FetchRefused(f"the URL has more than {MAX_URL} characters")
    try:
        return httpx.URL(text) if base is None else base.join(text)
    except (httpx.InvalidURL, ValueError):  # its text may hold the URL
        raise FetchRefused("the URL is malformed") from None


def _check(url: httpx.URL, rules: _Rules) -> str:
    """The host, of a URL whose form is allowed. Raises `FetchRefused`."""
    if url.scheme != "https" and not (rules.allow_private and url.scheme == "http"):
        raise FetchRefused("the URL is not https")
    if url.userinfo:
        raise FetchRefused("the URL has a user or a password in it")
    port = url.port or (443 if url.scheme == "https" else 80)
    if rules.ports is not None and port not in rules.ports:
        raise FetchRefused(f"the URL's port is {port}: allowed are {', '.join(map(str, sorted(rules.ports)))}")
    host = _ascii_host(url)
    try:
        address = literal_address(host)
    except ValueError as problem:
        raise FetchRefused(f"the URL's host is {problem}") from None
    if not rules.allow_private and (is_own_name(host) if address is None else not is_public(address)):
        raise FetchRefused("the URL's host is private")
    return address or host


async def _addresses(host: str, rules: _Rules) -> Sequence[str]:
    """Where a host may be reached. Raises `FetchRefused` where not all of it is public."""
    if literal_address(host) is not None:
        return [host]
    try:
        found = await rules.resolve(host)
    except OSError:
        found = []
    if not found:
        raise FetchFailed(f"no address is known for {scrub(host)}")
    if not rules.allow_private and not all(map(is_public, found)):
        raise FetchRefused(f"{scrub(host)} leads into a private network")
    return found[:MAX_ADDRESSES]


def _ascii_host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii").lower()


def _headers(auth: tuple[str, str] | None) -> dict[str, str]:
    headers = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "callengine"}
    if auth is not None:
        headers["authorization"] = f"Basic {b64encode(':'.join(auth).encode()).decode('ascii')}"
    return headers


def _own_network(http: httpx.AsyncClient) -> httpx.AsyncClient | None:
    """The client, where it has a network of its own; None where it would connect to what the system's resolver says."""
    return None if isinstance(http._transport, httpx.AsyncHTTPTransport) else http


@cache
def _authorities() -> ssl.SSLContext:
    """Made once, in a thread: reading the authorities' certificates takes 20 ms."""
    return httpx.create_ssl_context(trust_env=False)
