"""Fetching what a stranger's URL names: over real sockets where something is fetched."""

from __future__ import annotations

import gzip
import logging
import ssl
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import attrs
import httpx
import pytest
import trio
import trio.testing

from callengine.fetching import FetchFailed, FetchRefused, fetch, resolve_name

TLS = Path(__file__).parents[1] / "data" / "tls"
NAME = "files.example.com"
PUBLIC = "93.184.215.14"
AUDIO = b"RIFF" + bytes(1000)

Answer = Callable[[trio.abc.Stream, "Server"], Awaitable[None]]


def response(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


FILE = response(AUDIO)


async def send(data: bytes, stream: trio.abc.Stream, _server: Server) -> None:
    await stream.send_all(data)


@attrs.define
class Server:
    """A web server on loopback that says the same to everybody."""

    port: int
    answer: Answer
    requests: list[str] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, stream: trio.abc.Stream) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            data = await stream.receive_some()
            if not data:
                return
            head += data
        self.requests.append(head.decode())
        await self.answer(stream, self)
        await stream.aclose()


@asynccontextmanager
async def serving(answer: Answer | bytes = FILE, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            server = Server(
                listener.socket.getsockname()[1], partial(send, answer) if isinstance(answer, bytes) else answer
            )

            async def serve(stream: trio.SocketStream) -> None:
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await server.serve(stream if tls is None else trio.SSLStream(stream, tls, server_side=True))

            nursery.start_soon(trio.serve_listeners, serve, [listener])
            yield server
            nursery.cancel_scope.cancel()


def names(**known: list[str]) -> Callable[[str], Awaitable[list[str]]]:
    """A resolver that knows these names, dots written as two underscores, each for one question only."""
    left = {name.replace("__", "."): addresses for name, addresses in known.items()}

    async def resolve(name: str) -> list[str]:
        return left.pop(name)

    return resolve


async def nobody(name: str) -> list[str]:
    raise AssertionError(f"{name} was to be resolved")


private = partial(fetch, allow_private=True)


# --- what is fetched ----------------------------------------------------------------------------------------------


async def test_a_file_is_fetched_with_the_credentials_that_it_needs() -> None:
    async with serving() as server:
        body = await private(f"{server.url}/a%20b.wav?x=%2F", auth=("user", "pass word"))

    assert body == AUDIO
    [request] = server.requests
    assert request.startswith("GET /a%20b.wav?x=%2F HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{server.port}\r\n" in request.lower()
    assert f"Basic {b64encode(b'user:pass word').decode()}" in request
    assert "accept-encoding: identity" in request.lower()


async def test_without_credentials_none_are_sent() -> None:
    async with serving() as server:
        await private(server.url)

    assert "authorization" not in server.requests[0].lower()


async def test_a_body_without_a_length_is_fetched_to_its_end() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\n\r\n" + AUDIO) as server:
        assert await private(server.url) == AUDIO


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "304 Not Modified", "302 Without Location"])
async def test_an_error_is_told_with_its_status(status: str) -> None:
    async with serving(response(b"secret text", status)) as server:
        with pytest.raises(FetchFailed, match=status[:3]) as raised:
            await private(f"{server.url}/secret")

    assert raised.value.status == int(status[:3])
    assert "secret" not in str(raised.value)


async def test_a_server_that_speaks_no_http_is_an_error() -> None:
    async with serving(b"220 smtp.example.com ESMTP\r\n") as server:
        with pytest.raises(FetchFailed, match="no answer"):
            await private(server.url)


async def test_a_port_where_nobody_listens_is_an_error() -> None:
    async with serving() as server:
        pass
    with pytest.raises(FetchFailed, match="no answer"):
        await private(server.url)


# --- where it leads -----------------------------------------------------------------------------------------------


SPELLINGS = [
    "127.0.0.1",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "１２７.0.0.1",
    "①②⑦.0.0.1",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::80ff:fffe]",
    "[fe80::1%25lo]",
    "[fd00:ec2::254]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "169.254.43518",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "metadata",
    "metadata.google.internal",
    "METADATA.google.internal.",
    "printer.local",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
]


@pytest.mark.parametrize("host", SPELLINGS)
async def test_a_private_host_is_refused_in_every_spelling(host: str) -> None:
    for network in (None, httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200)))):
        with pytest.raises(FetchRefused):
            await fetch(f"https://{host}/latest/meta-data", http=network, resolve=nobody)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["::ffff:169.254.169.254"], ["::1", PUBLIC]]
)
async def test_a_name_with_any_private_address_is_refused(addresses: list[str]) -> None:
    with pytest.raises(FetchRefused, match="private network"):
        await fetch(f"https://{NAME}/", resolve=names(files__example__com=addresses))


async def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_looked_at() -> None:
    """A name that leads to another place the second time (DNS rebinding) is not asked a second time."""
    async with serving() as server:
        resolve = names(rebinding__example=["127.0.0.1"])
        body = await private(f"http://rebinding.example:{server.port}/x", resolve=resolve)

    assert body == AUDIO
    assert f"host: rebinding.example:{server.port}\r\n" in server.requests[0].lower()


async def test_an_address_that_does_not_answer_is_followed_by_the_next() -> None:
    async with serving() as server:
        resolve = names(files__example__com=["127.0.0.2", "127.0.0.1"])
        assert await private(f"http://{NAME}:{server.port}/", resolve=resolve) == AUDIO


@pytest.mark.parametrize("problem", [OSError("no such host"), None])
async def test_a_name_without_address_is_an_error(problem: OSError | None) -> None:
    async def resolve(_name: str) -> list[str]:
        if problem is not None:
            raise problem
        return []

    with pytest.raises(FetchFailed, match="no address"):
        await fetch(f"https://{NAME}/", resolve=resolve)


async def test_the_system_s_resolver_is_asked_by_default() -> None:
    assert "127.0.0.1" in await resolve_name("localhost")
    with pytest.raises(FetchFailed, match="no address"):
        await fetch("https://nobody.invalid/")


async def test_private_hosts_are_fetched_from_where_that_is_allowed() -> None:
    async with serving() as server:
        with pytest.raises(FetchRefused):
            await fetch(server.url, ports={server.port})
        with pytest.raises(FetchRefused, match="private"):
            await fetch(f"https://127.0.0.1:{server.port}/", ports={server.port})
        assert server.requests == []
        assert await private(server.url) == AUDIO


# --- the URL's form -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://files.example.com/", "not https"),
        ("ftp://files.example.com/", "not https"),
        ("file:///etc/passwd", "not https"),
        ("gopher://127.0.0.1:25/", "not https"),
        ("data:text/plain,hello", "not https"),
        ("//files.example.com/", "not https"),
        ("", "not https"),
        ("https://user:secret@files.example.com/", "user or a password"),
        ("https://files.example.com@127.0.0.1/", "user or a password"),
        ("https://127.0.0.1\\@files.example.com/", "user or a password"),
        ("https://files.example.com:22/", "port is 22"),
        ("https://files.example.com:8443/", "port is 8443"),
        ("https://files.example.com:99999/", "port is 99999"),
        ("https:///etc/passwd", "not a host name"),
        ("https://exa mple.com/", "not a host name"),
        ("https://files.example.com%00.evil.example/", "not a host name"),
        ("https://[::1/", "malformed"),
        ("https://files.example.com/\r\nX: y", "malformed"),
        ("https://files.example.com/" + "x" * 8_192, "8192 characters"),
    ],
)
async def test_a_url_of_another_form_is_refused_before_anybody_is_asked(url: str, why: str) -> None:
    with pytest.raises(FetchRefused, match=why) as raised:
        await fetch(url, resolve=nobody)

    assert "secret" not in str(raised.value)
    assert "passwd" not in str(raised.value)


async def test_the_ports_are_a_setting() -> None:
    with pytest.raises(FetchRefused, match="private network"):  # the port was allowed
        await fetch(f"https://{NAME}:8443/", ports={443, 8443}, resolve=names(files__example__com=["10.0.0.1"]))
    async with serving() as server:
        with pytest.raises(FetchRefused, match="allowed are 80, 443"):
            await private(server.url, ports={443, 80})


# --- redirects ----------------------------------------------------------------------------------------------------


def redirect(to: str, status: str = "302 Found") -> bytes:
    return response(b"", status, Location=to)


@pytest.mark.parametrize("status", ["301 a", "302 b", "303 c", "307 d", "308 e"])
async def test_a_redirect_is_followed_without_the_credentials(status: str) -> None:
    async with serving() as store, serving(redirect(f"{store.url}/signed", status)) as server:
        assert await private(server.url, auth=("user", "secret")) == AUDIO

    assert "authorization" in server.requests[0].lower()
    assert store.requests[0].startswith("GET /signed ")
    assert "authorization" not in store.requests[0].lower()


async def test_credentials_do_not_come_back_with_a_redirect_to_the_first_host() -> None:
    async with serving() as first, serving(redirect(first.url)) as second:

        async def answer(stream: trio.abc.Stream, server: Server) -> None:
            await stream.send_all(redirect(second.url) if len(server.requests) == 1 else FILE)

        first.answer = answer
        assert await private(first.url, auth=("user", "secret")) == AUDIO

    assert ["authorization" in request.lower() for request in first.requests] == [True, False]


async def test_a_relative_redirect_on_the_same_host_keeps_the_credentials() -> None:
    async def answer(stream: trio.abc.Stream, server: Server) -> None:
        await stream.send_all(redirect("b?c") if len(server.requests) == 1 else FILE)

    async with serving(answer) as server:
        assert await private(f"{server.url}/x/a", auth=("user", "secret")) == AUDIO

    assert [request.split(" ")[1] for request in server.requests] == ["/x/a", "/x/b?c"]
    assert all("authorization" in request.lower() for request in server.requests)


@pytest.mark.parametrize(
    "target", ["https://127.0.0.1/", "http://files.example.com/", "//[::1]/", "https://u@b.example/"]
)
async def test_a_redirect_to_a_private_host_is_refused_like_a_first_url(target: str) -> None:
    """The network is a pretended one: it is the only way to a public host here."""
    asked: list[str] = []

    def lead(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"location": target})

    async with httpx.AsyncClient(transport=httpx.MockTransport(lead)) as network:
        with pytest.raises(FetchRefused):
            await fetch(f"https://{NAME}/a", http=network)

    assert asked == [f"https://{NAME}/a"]


async def test_a_redirect_s_name_is_resolved_and_looked_at_too() -> None:
    async with serving() as server:
        server.answer = partial(send, redirect(f"http://second.example:{server.port}/"))
        resolved: list[str] = []

        async def resolve(name: str) -> list[str]:
            resolved.append(name)
            return ["127.0.0.1"]

        with pytest.raises(FetchRefused, match="redirects"):
            await private(f"http://first.example:{server.port}/", redirects=1, resolve=resolve)

    assert resolved == ["first.example", "second.example"]


@pytest.mark.parametrize("redirects", [0, 2])
async def test_there_are_only_so_many_redirects(redirects: int) -> None:
    async with serving(redirect("/again")) as server:
        with pytest.raises(FetchRefused, match=f"more than {redirects} redirects"):
            await private(server.url, redirects=redirects)

    assert len(server.requests) == redirects + 1


# --- what comes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [{}, {"announced": True}])
async def test_a_body_over_the_limit_is_not_taken(length: dict[str, bool]) -> None:
    sent = 0

    async def flood(stream: trio.abc.Stream, _server: Server) -> None:
        nonlocal sent
        announced = "Content-Length: 1000000000\r\n" if length else ""
        await stream.send_all(f"HTTP/1.1 200 OK\r\n{announced}\r\n".encode())
        while True:
            await stream.send_all(bytes(10_000))
            sent += 10_000

    async with serving(flood) as server:
        with pytest.raises(FetchRefused, match="more than 50000 bytes"):
            await private(server.url, max_bytes=50_000)

    assert sent < 20_000_000  # what the system's buffers hold


@pytest.mark.parametrize(("limit", "fits"), [(len(AUDIO), True), (len(AUDIO) - 1, False)])
async def test_the_limit_is_a_setting(limit: int, fits: bool) -> None:
    for answer in (FILE, b"HTTP/1.1 200 OK\r\n\r\n" + AUDIO):
        async with serving(answer) as server:
            if fits:
                assert await private(server.url, max_bytes=limit) == AUDIO
            else:
                with pytest.raises(FetchRefused, match="max_bytes"):
                    await private(server.url, max_bytes=limit)


async def test_a_decompression_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 60_000

    async with serving(response(bomb, Content_Encoding="gzip")) as server:
        with pytest.raises(FetchRefused, match="compressed"):
            await private(server.url)


@pytest.mark.parametrize("silent", ["at once", "in the head", "in the body", "in the redirect"])
async def test_the_time_is_for_everything(silent: str) -> None:
    async def trickle(stream: trio.abc.Stream, server: Server) -> None:
        beginning = {
            "at once": b"",
            "in the head": b"HTTP/1.1 200 OK\r\n",
            "in the body": b"HTTP/1.1 200 OK\r\n\r\n",
            "in the redirect": redirect("/more"),
        }[silent]
        await trio.sleep(0.05)
        await stream.send_all(beginning)
        while silent == "in the body":
            await trio.sleep(0.01)
            await stream.send_all(b".")
        if silent != "in the redirect":
            await trio.sleep_forever()

    before = time.monotonic()
    async with serving(trickle) as server:
        with pytest.raises(FetchFailed, match=r"within 0\.2 s"):
            await private(server.url, timeout=0.2, redirects=1_000)
    assert time.monotonic() - before < 2


async def test_a_resolver_that_hangs_is_within_the_time(autojump_clock: trio.testing.MockClock) -> None:
    async def resolve(_name: str) -> list[str]:
        await trio.sleep_forever()
        return []

    with pytest.raises(FetchFailed, match="within 30 s"):
        await fetch(f"https://{NAME}/", timeout=30, resolve=resolve)

    assert trio.current_time() == pytest.approx(30)


# --- TLS ----------------------------------------------------------------------------------------------------------


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "files.example.com.pem")
    return context


def trusting_tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(TLS / "authority.pem"))


async def test_the_certificate_is_checked_for_the_name_though_the_connection_goes_to_an_address() -> None:
    async with serving(tls=server_tls()) as server:
        fetching = partial(private, tls=trusting_tls())
        url = f"https://{NAME}:{server.port}/"
        assert await fetching(url, resolve=names(files__example__com=["127.0.0.1"])) == AUDIO
        with pytest.raises(FetchFailed, match="ConnectError"):  # another name at the same address
            await fetching(url.replace("files", "other"), resolve=names(other__example__com=["127.0.0.1"]))
        with pytest.raises(FetchFailed, match="ConnectError"):  # an authority that is not certifi's
            await private(url, resolve=names(files__example__com=["127.0.0.1"]))


# --- networks of a client's own -----------------------------------------------------------------------------------


async def test_a_client_with_a_network_of_its_own_is_asked_by_name() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=AUDIO)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), auth=("rest", "key")) as network:
        assert await fetch(f"https://{NAME}/a.wav", http=network, auth=("u", "p"), resolve=nobody) == AUDIO
        assert await fetch(f"https://{NAME}/a.wav", http=network, resolve=nobody) == AUDIO

    assert [str(request.url) for request in asked] == [f"https://{NAME}/a.wav"] * 2
    assert asked[0].headers["authorization"] == f"Basic {b64encode(b'u:p').decode()}"
    assert "authorization" not in asked[1].headers  # the client's own key is not for strangers


async def test_a_client_that_connects_to_what_names_say_does_not_weaken_the_guard() -> None:
    async with httpx.AsyncClient(headers={"x-api-key": "secret"}) as http:
        with pytest.raises(FetchRefused, match="private network"):
            await fetch(f"https://{NAME}/", http=http, resolve=names(files__example__com=["127.0.0.1"]))
        async with serving() as server:
            await private(server.url, http=http)
    assert "secret" not in server.requests[0]


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as proxy, serving() as server:
        for variable in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(variable, proxy.url)
        await private(server.url)
    assert (len(proxy.requests), len(server.requests)) == (0, 1)


# --- logs and errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [FILE, response(b"", "500 Oops"), b"nonsense\r\n\r\n"])
async def test_no_error_or_log_of_ours_shows_the_url(caplog: pytest.LogCaptureFixture, answer: bytes) -> None:
    shown = ""
    async with serving(answer) as server:
        with caplog.at_level(logging.DEBUG):
            try:
                await private(f"{server.url}/15550100001?signature=s3cr3t", auth=("user", "pa55word"))
            except FetchFailed as error:
                shown = f"{error} {error!r} {error.__cause__}"
    text = shown + "".join(r.getMessage() for r in caplog.records if r.name.startswith(("callengine", "httpx")))

    for secret in ("s3cr3t", "15550100001", "pa55word", server.url):
        assert secret not in text
