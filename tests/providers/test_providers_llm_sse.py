"""The server-sent events parser: any bytes, cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callengine.wire.sse import SseError, SseEvent, SseParser


def parse(data: bytes, *cuts: int) -> list[SseEvent]:
    parser = SseParser()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    events = [event for start, end in pairwise(edges) for event in parser.feed(data[start:end])]
    return events + parser.finish()


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: one\n\n", [SseEvent("message", "one")]),
        (b"data:one\n\n", [SseEvent("message", "one")]),
        (b"data:  one\n\n", [SseEvent("message", " one")]),
        (b"data: one\r\rdata: two\r\r", [SseEvent("message", "one"), SseEvent("message", "two")]),
        (b"data: one\r\n\r\ndata: two\r\n\r\n", [SseEvent("message", "one"), SseEvent("message", "two")]),
        (b"data: a\ndata: b\n\n", [SseEvent("message", "a\nb")]),
        (b"data\n\n", [SseEvent("message", "")]),
        (b"event: ping\ndata: x\n\n", [SseEvent("ping", "x")]),
        (b"event: ping\n\ndata: x\n\n", [SseEvent("message", "x")]),
        (b": OPENROUTER PROCESSING\n\n: again\n\ndata: x\n\n", [SseEvent("message", "x")]),
        (b"id: 7\nretry: 10\ndata: x\n\n", [SseEvent("message", "x")]),
        (b"\xef\xbb\xbfdata: x\n\n", [SseEvent("message", "x")]),
        ("data: caffè 你好 😀\n\n".encode(), [SseEvent("message", "caffè 你好 😀")]),
        (b"data: \xff\n\n", [SseEvent("message", "�")]),
        (b"data: x", [SseEvent("message", "x")]),
        (b"data: x\r", [SseEvent("message", "x")]),
        (b"", []),
        (b"\n\n\n", []),
    ],
)
def test_events_of_a_stream(data: bytes, events: list[SseEvent]) -> None:
    assert parse(data) == events
    assert parse(data, *range(len(data))) == events


LINES = st.sampled_from(
    [b"data: a", b"data:b", b"data", b"event: x", b": c", b"", b"id: 1", "data: è你😀".encode(), b"\xef\xbb\xbfdata: z"]
)


@given(st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r", b"\r\n"])), max_size=12), st.lists(st.integers(0, 200)))
@example([(b"data: a", b"\r"), (b"", b"\n")], [8])
@example([(b"data: a", b"\r\n"), (b"data: b", b"\n")], [8, 8])
def test_how_the_bytes_are_cut_makes_no_difference(lines: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    data = b"".join(line + end for line, end in lines)
    assert parse(data, *cuts) == parse(data)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_arbitrary_bytes_never_raise(data: bytes, cuts: list[int]) -> None:
    assert parse(data, *cuts) == parse(data)


def test_an_event_is_handed_out_before_the_line_feed_of_its_last_line_end_has_come() -> None:
    parser = SseParser()
    assert parser.feed(b"data: x\r\n\r") == [SseEvent("message", "x")]
    assert parser.feed(b"\ndata: y\r\n\r\n") == [SseEvent("message", "y")]


@pytest.mark.parametrize("data", [b"data: " + b"x" * 60, b"data: " + b"x" * 60 + b"\n\n", b"data: xxxxxxxx\n" * 8])
@pytest.mark.parametrize("step", [1, 1000])
def test_a_line_or_event_over_the_limit_is_refused_after_the_events_before_it(data: bytes, step: int) -> None:
    parser = SseParser(max_size=50)
    data = b"data: first\n\n" + data
    events: list[SseEvent] = []

    def feed() -> None:
        for start in range(0, len(data), step):
            events.extend(parser.feed(data[start : start + step]))
        parser.feed(b"")

    with pytest.raises(SseError, match="larger than 50 bytes"):
        feed()
    assert events == [SseEvent("message", "first")]
