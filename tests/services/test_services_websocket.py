"""The server's WebSocket state machine, held against the client half of the ``websockets`` package."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from callengine.services.websocket import Message, ServerConnection, text_frame

MASK = b"\x01\x20\x03\x40"


def client() -> ClientProtocol:
    return ClientProtocol(parse_uri("ws://voice.example.com/media"), state=OPEN, max_size=None)


def frame(first: int, payload: bytes = b"", *, masked: bool = True, form: int | None = None) -> bytes:
    """A client's frame, right or wrong; ``form`` is the number of bytes of the length field."""
    size = len(payload)
    form = form if form is not None else 0 if size < 126 else 2 if size < 65_536 else 8
    second = {0: size, 2: 126, 8: 127}[form]
    body = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload)) if masked else payload
    mask = MASK if masked else b""
    return bytes((first, second | 0x80 * masked)) + (size.to_bytes(form, "big") if form else b"") + mask + body


def feed(connection: ServerConnection, *chunks: bytes) -> list[Message]:
    return [message for chunk in chunks for message in connection.feed(chunk)]


def told(connection: ServerConnection) -> tuple[int, str]:
    """The close code and reason that a client reads from what the connection answers."""
    peer = client()
    for reply in connection.replies():
        peer.receive_data(reply)
    return understood(peer)


def understood(peer: ClientProtocol) -> tuple[int, str]:
    """The close code and reason that a client has read."""
    peer.receive_eof()
    assert isinstance(peer.close_exc, ConnectionClosed)
    assert peer.close_exc.rcvd is not None
    return peer.close_exc.rcvd.code, peer.close_exc.rcvd.reason


# --- what a good client sends -------------------------------------------------------------------------------------

PARTS = st.lists(
    st.tuples(st.booleans(), st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.binary(max_size=20)),
    max_size=5,
)


@given(PARTS, st.lists(st.integers(1, 400), max_size=30))
def test_messages_survive_fragments_pings_and_any_cut(
    parts: list[tuple[bool, list[bytes], bytes]], cuts: list[int]
) -> None:
    peer, expected, pings = client(), [], []
    for is_text, fragments, ping in parts:
        for number, fragment in enumerate(fragments):
            last = number == len(fragments) - 1
            if number:
                peer.send_continuation(fragment, fin=last)
            elif is_text:
                peer.send_text(fragment, fin=last)
            else:
                peer.send_binary(fragment, fin=last)
            peer.send_ping(ping)
            pings.append(ping)
        expected.append((is_text, b"".join(fragments)))
    sent = b"".join(peer.data_to_send())

    connection, messages, replies = ServerConnection(), [], []
    for cut in cuts:
        messages += connection.feed(sent[:cut])
        replies += connection.replies()
        sent = sent[cut:]
    messages += connection.feed(sent)
    replies += connection.replies()

    assert messages == expected
    assert connection.end is None
    for reply in replies:
        peer.receive_data(reply)
    assert [event.data for event in peer.events_received() if isinstance(event, Frame)] == pings


def test_byte_by_byte() -> None:
    connection = ServerConnection()
    sent = frame(0x81, b"x" * 200) + frame(0x89, b"?") + frame(0x82, b"y" * 3)
    messages = feed(connection, *(sent[at : at + 1] for at in range(len(sent))))
    assert messages == [(True, b"x" * 200), (False, b"yyy")]
    assert connection.replies() == [b"\x8a\x01?"]


@given(st.binary(max_size=300) | st.sampled_from([b"x" * 125, b"x" * 126, b"x" * 65_535, b"x" * 65_536]))
def test_our_frames_are_read_by_a_client(payload: bytes) -> None:
    peer = client()
    peer.receive_data(text_frame(payload))
    assert peer.events_received() == [Frame(Opcode.TEXT, payload)]


# --- the close handshake ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going away"), (3000, "é"), (4999, "x" * 123)])
def test_the_peer_closes(code: int, reason: str) -> None:
    peer = client()
    peer.send_text(b"last words")
    peer.send_close(code, reason)
    connection = ServerConnection()

    assert feed(connection, *peer.data_to_send()) == [(True, b"last words")]
    assert connection.end == (code, reason)
    assert not connection.failed
    for reply in connection.replies():
        peer.receive_data(reply)
    assert understood(peer) == (code, "")
    assert feed(connection, frame(0x81, b"late")) == []


def test_the_peer_closes_without_a_code() -> None:
    connection = ServerConnection()
    connection.feed(frame(0x88))
    assert connection.end == (1005, "")
    assert connection.replies() == [b"\x88\x00"]


def test_we_close() -> None:
    peer, connection = client(), ServerConnection()
    peer.receive_data(connection.close(1001, "drained"))

    assert feed(connection, frame(0x81, b"crossed on the wire"), frame(0x89, b"?")) == [(True, b"crossed on the wire")]
    assert connection.replies() == [], "after a close frame nothing may be sent, not even a pong"
    feed(connection, *peer.data_to_send())
    assert connection.end == (1001, "drained"), "the client of websockets echoes the reason too"
    assert connection.replies() == []


def test_a_long_reason_is_cut_between_characters() -> None:
    peer = client()
    peer.receive_data(ServerConnection().close(1000, "é" * 100))
    assert understood(peer) == (1000, "é" * 61)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
def test_codes_that_must_not_be_sent(code: int) -> None:
    with pytest.raises(ValueError, match="close code"):
        ServerConnection().close(code, "")


# --- what breaks the rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (frame(0xC1, b"x"), 1002, "reserved bit"),
        (frame(0xA1, b"x"), 1002, "reserved bit"),
        (frame(0x91, b"x"), 1002, "reserved bit"),
        (frame(0x81, b"x", masked=False), 1002, "frame not masked"),
        (frame(0x88, masked=False), 1002, "frame not masked"),
        (frame(0x83, b"x"), 1002, "unknown opcode"),
        (frame(0x8B, b"x"), 1002, "unknown opcode"),
        (frame(0x89, b"x" * 126), 1002, "control frame too long or fragmented"),
        (frame(0x08), 1002, "control frame too long or fragmented"),
        (frame(0x80, b"x"), 1002, "fragment out of order"),
        (frame(0x01, b"x") + frame(0x81, b"y"), 1002, "fragment out of order"),
        (frame(0x81, b"x", form=2), 1002, "length not in its shortest form"),
        (frame(0x81, b"x" * 200, form=8), 1002, "length not in its shortest form"),
        (b"\x81\xff" + b"\xff" * 8 + MASK, 1002, "length not in its shortest form"),
        (frame(0x88, b"x"), 1002, "bad close frame"),
        (frame(0x88, (1006).to_bytes(2, "big")), 1002, "bad close frame"),
        (frame(0x88, (1000).to_bytes(2, "big") + b"\xff"), 1007, "close reason is not UTF-8"),
        (frame(0x81, b"x" * 1001), 1009, "message too big"),
        (frame(0x01, b"x" * 1000) + frame(0x80, b"x"), 1009, "message too big"),
        (b"\x81\xff" + (1 << 40).to_bytes(8, "big") + MASK, 1009, "message too big"),
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_violations_close_with_their_code_after_earlier_messages(
    sent: bytes, code: int, reason: str, step: int
) -> None:
    connection = ServerConnection(max_message=1000)
    data = frame(0x81, b"before") + sent + frame(0x81, b"after")

    messages = feed(connection, *(data[at : at + step] for at in range(0, len(data), step)))

    assert messages == [(True, b"before")]
    assert (connection.end, connection.failed) == ((code, reason), True)
    assert told(connection) == (code, reason)


def test_the_limit_is_met_by_messages_of_just_that_size() -> None:
    connection = ServerConnection(max_message=1000)
    assert feed(connection, frame(0x81, b"x" * 1000)) == [(True, b"x" * 1000)]
    assert feed(connection, frame(0x01, b"x" * 999), frame(0x80, b"y")) == [(True, b"x" * 999 + b"y")]


def test_a_message_too_big_is_refused_by_its_header() -> None:
    connection = ServerConnection(max_message=1000)
    connection.feed(frame(0x81, b"x" * 1001)[:4])
    assert connection.end == (1009, "message too big")


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_noise_never_raises(chunks: list[bytes]) -> None:
    connection = ServerConnection(max_message=100)
    for message in feed(connection, *chunks):
        assert len(message[1]) <= 100


@given(st.binary(max_size=30), st.integers(0, 40), st.integers(0, 255))
def test_damaged_frames_never_raise(payload: bytes, at: int, byte: int) -> None:
    sent = bytearray(frame(0x01, payload) + frame(0x80, payload) + frame(0x88, b"\x03\xe8ok"))
    sent[at % len(sent)] = byte
    feed(ServerConnection(), bytes(sent))
