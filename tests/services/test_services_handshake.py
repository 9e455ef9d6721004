"""The WebSocket upgrade, as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from callengine.services.handshake import MAX_HEAD, BadHandshake, accept_response, parse_head, refusal

GOOD = (
    b"GET /media/twilio/abc HTTP/1.1\r\nHost: voice.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nx-twilio-signature:  s= \r\n\r\n"
)


def test_a_client_accepts_our_answer() -> None:
    client = ClientProtocol(parse_uri("wss://voice.example.com/media?x=1"))
    client.send_request(client.connect())

    head = parse_head(b"".join(client.data_to_send()))
    client.receive_data(accept_response(head))

    assert (head.method, head.path) == ("GET", "/media?x=1")
    assert client.state is OPEN
    assert client.handshake_exc is None


def test_the_key_of_the_rfc_and_nothing_negotiated() -> None:
    offered = GOOD.replace(
        b"\r\n\r\n",
        b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: audio.drachtio.org\r\n\r\n",
    )
    for request in (GOOD, offered):
        response = accept_response(parse_head(request))
        assert response.startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in response  # RFC 6455, section 1.3
        assert b"Extensions" not in response
        assert b"Protocol:" not in response
        assert response.endswith(b"\r\n\r\n")


def test_headers_by_lower_case_name() -> None:
    head = parse_head(GOOD.replace(b"Host:", b"X-A: 1\r\nx-a: 2\r\nX-Empty:\r\nHOST:") + b"\x81\x85rest")
    assert head.headers["host"] == "voice.example.com"
    assert head.headers["x-twilio-signature"] == "s="
    assert head.headers["x-a"] == "1, 2"
    assert head.headers["x-empty"] == ""
    assert "s=" not in repr(head)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (GOOD[:-2], 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (GOOD.replace(b"HTTP/1.1", b"HTTP/2.0"), 400),
        (GOOD.replace(b"GET /media", b"GET  /media"), 400),
        (GOOD.replace(b"/media", "/mé".encode()), 400),
        (GOOD.replace(b"Host: ", b"Host : "), 400),
        (GOOD.replace(b"Host: ", b"Ho\x00st: "), 400),
        (GOOD.replace(b"Host: voice", b"Host: vo\x00ice"), 400),
        (GOOD.replace(b"Upgrade: websocket", b" folded: yes"), 400),
        (GOOD.replace(b"Host: voice.example.com\r\n", b"Host: a\nX: b\r\n"), 400),
        (GOOD.replace(b"Host: ", b"X: " + b"x" * MAX_HEAD + b"\r\nHost: "), 431),
        (b"GET / HTTP/1.1\r\n" + b"x" * MAX_HEAD, 431),
        (GOOD.replace(b"GET", b"POST"), 405),
        (GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"), 505),
        (GOOD.replace(b"Upgrade: websocket\r\n", b""), 426),
        (GOOD.replace(b"Upgrade: websocket", b"Upgrade: h2c"), 426),
        (GOOD.replace(b"Connection: Upgrade\r\n", b""), 426),
        (GOOD.replace(b"Version: 13", b"Version: 8"), 400),
        (GOOD.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short"), 400),
        (GOOD.replace(b"Sec-WebSocket-Key", b"X-Key"), 400),
        (GOOD.replace(b"Host:", b"Content-Length: 5\r\nHost:"), 400),
        (GOOD.replace(b"Host:", b"Transfer-Encoding: chunked\r\nHost:"), 400),
    ],
)
def test_what_is_refused_and_how(head: bytes, status: int) -> None:
    with pytest.raises(BadHandshake) as caught:
        accept_response(parse_head(head))
    assert caught.value.status == status
    assert caught.value.response.startswith(b"HTTP/1.1 %d " % status)


def test_a_head_of_just_the_limit() -> None:
    padding = MAX_HEAD - len(GOOD) - len(b"X: \r\n")
    assert parse_head(GOOD.replace(b"Host:", b"X: " + b"x" * padding + b"\r\nHost:"))


@pytest.mark.parametrize(
    ("status", "phrase"), [(400, "Bad Request"), (403, "Forbidden"), (404, "Not Found"), (503, "Service Unavailable")]
)
def test_a_refusal_is_a_whole_response(status: int, phrase: str) -> None:
    head, _, body = refusal(status, "no é").partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == f"HTTP/1.1 {status} {phrase}"
    assert f"Content-Length: {len(body)}" in lines
    assert "Connection: close" in lines
    assert body == "no é\n".encode()


def test_an_upgrade_required_says_to_what() -> None:
    assert b"\r\nUpgrade: websocket\r\n" in refusal(426, "WebSocket only")


@given(st.binary(max_size=200))
def test_noise_is_refused_and_nothing_else(noise: bytes) -> None:
    for head in (
        noise,
        noise + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + noise + b"\r\n\r\n",
        GOOD[:5] + b" " + noise + GOOD[5:],
    ):
        with pytest.raises(BadHandshake):
            accept_response(parse_head(head))


VISIBLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"))
NAMES = st.sampled_from(["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Origin"])


@given(st.lists(st.tuples(NAMES, VISIBLE), max_size=6))
def test_any_headers_are_answered(headers: list[tuple[str, str]]) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")
    for head in (b"GET / HTTP/1.1\r\n" + lines, GOOD[:-2] + lines):
        try:
            assert accept_response(parse_head(head + b"\r\n"))
        except BadHandshake as refused:
            assert 400 <= refused.status < 500  # noqa: PT017  # either answer will do, another exception would not


def test_a_carrier_that_asks_for_its_own_subprotocol_gets_it() -> None:
    offered = GOOD.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: chat, audio.plivo.com\r\n\r\n")

    assert b"Sec-WebSocket-Protocol: audio.plivo.com\r\n" in accept_response(parse_head(offered))
