"""Server-sent events: what any stream of bytes does to the parser."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callengine.wire import SseEvent, SseParser

LINES = st.lists(
    st.sampled_from([b"data: a", b"data:b", b"data", b"event: x", b"event:", b": hi", b"id: 7", b"", b"\xff"]),
    max_size=20,
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def events(stream: bytes, cuts: list[int]) -> list[SseEvent]:
    parser = SseParser()
    found: list[SseEvent] = []
    at = 0
    for cut in [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]:
        found += parser.feed(stream[at:cut])
        at = cut
    return found + parser.finish()


@given(LINES, ENDS, st.lists(st.integers(0, 500), max_size=12))
def test_cuts_and_line_ends_make_no_difference(lines: list[bytes], end: bytes, cuts: list[int]) -> None:
    assert events(end.join(lines) + end, cuts) == events(b"\n".join(lines) + b"\n", [])


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=8))
def test_noise_is_never_an_error_however_it_is_cut(noise: bytes, cuts: list[int]) -> None:
    assert events(noise, cuts) == events(noise, [])


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\0"), max_size=20), min_size=1, max_size=5))
def test_what_was_written_is_read(data: list[str]) -> None:
    stream = "".join(f"data: {line}\n" for line in data) + "\n"
    try:
        written = stream.encode()
    except UnicodeEncodeError:  # a lone surrogate cannot be sent
        return
    assert events(written, []) == [SseEvent("message", "\n".join(data))]
