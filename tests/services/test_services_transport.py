"""Frames that wait to leave, and the descriptor they leave by."""

from __future__ import annotations

import os
import socket

import trio
from hypothesis import given
from hypothesis import strategies as st

from callengine.services.transport import Outbox, SocketTransport

STEPS = st.lists(
    st.tuples(st.just("push"), st.integers(1, 9), st.booleans())
    | st.tuples(st.sampled_from(["send", "begin", "discard"]), st.integers(0, 9), st.booleans()),
    max_size=40,
)


@given(STEPS)
def test_what_leaves_is_whole_frames_in_order_less_what_was_discarded(steps: list[tuple[str, int, bool]]) -> None:
    outbox, left, number = Outbox(), bytearray(), 0
    kept: list[tuple[bytes, bool]] = []  # what must leave in the end, unless it is discarded yet
    begun = False
    for what, size, discardable in steps:
        first = outbox.first()
        if what == "push":
            number += 1
            kept.append((bytes((number,)) * size, discardable))
            outbox.push(*kept[-1])
        elif what == "begin":
            begun = begun or bool(first)
            assert outbox.begin() == first
        elif what == "discard":
            gone = len(left)
            after, position = [], 0
            for frame, loose in kept:
                started = position < gone or (position == gone and begun)
                if started or not loose:
                    after.append((frame, loose))
                position += len(frame)
            assert outbox.discard() == len(kept) - len(after)
            kept = after
        elif first:
            left += first[:size]
            outbox.advance(min(size, len(first)))
            begun = begun and size == 0
        assert outbox.size == sum(len(frame) for frame, _ in kept) - len(left)
        assert bool(outbox) == (outbox.size > 0)
    while first := outbox.first():
        left += first
        outbox.advance(len(first))
    assert bytes(left) == b"".join(frame for frame, _ in kept)


async def test_a_socket_is_written_at_once_by_its_own_descriptor_and_never_blocks() -> None:
    ours, theirs = trio.socket.socketpair()
    with ours, theirs:
        descriptors = len(os.listdir("/proc/self/fd"))
        transport = SocketTransport(trio.SocketStream(ours))
        assert len(os.listdir("/proc/self/fd")) == descriptors

        assert transport.write(b"at once") == 7
        assert os.read(theirs.fileno(), 100) == b"at once"

        written = 0
        while taken := transport.write(b"x" * 65_536):
            written += taken
        received = 0
        while received < written:
            received += len(os.read(theirs.fileno(), 65_536))
        assert received == written
        theirs.shutdown(socket.SHUT_WR)
        assert await transport.read() == b""
