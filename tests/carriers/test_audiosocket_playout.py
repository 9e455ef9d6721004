"""The playout that stands in for a carrier's: when frames go out, and when marks are reached. No clock but numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.carriers.audiosocket.playout import MAX_MARKS, Overfull, PacedPlayout
from callengine.testing.playout import PlayoutQueue

SECOND = bytes(16_000)


def play(playout: PacedPlayout, until: float = math.inf) -> tuple[list[float], list[tuple[float, bytes]]]:
    """Ask whenever it is due; returns when frames went out, and when marks were reached."""
    frames, marks = [], []
    while (now := playout.due) < until:
        out, names = playout.take(now)
        assert out or names, "it is asked for nothing"
        frames += [now] * len(out)
        marks += [(now, name) for name in names]
    return frames, marks


def test_frame_n_goes_out_at_n_times_20_ms_without_drift_over_a_minute() -> None:
    playout = PacedPlayout(8000, max_queued=60.0)
    for second in range(60):
        playout.media(100.1, bytes((second,)) * 16_000)
    frames, _ = play(playout)
    assert frames == [100.1 + n * 0.02 for n in range(3000)]


def test_audio_comes_out_as_it_went_in_whatever_its_pieces() -> None:
    playout, audio = PacedPlayout(8000), bytes(range(256)) * 40
    for start in range(0, len(audio), 333):
        playout.media(5.0, audio[start : start + 333])
    frames, _ = playout.take(5.0)
    while playout.due < math.inf:
        frames += playout.take(playout.due)[0]
    assert b"".join(frames) == audio
    assert {len(frame) for frame in frames} == {320}


@pytest.mark.parametrize(("rate", "size"), [(8000, 320), (16_000, 640), (44_100, 1764), (48_000, 1920)])
def test_frames_have_20_ms_at_every_rate(rate, size) -> None:
    playout = PacedPlayout(rate)
    playout.media(0.0, bytes(2 * rate // 10))
    assert [len(playout.take(playout.due)[0][0]) for _ in range(5)] == [size] * 5


def test_a_mark_is_reached_when_the_audio_before_it_has_sounded() -> None:
    playout = PacedPlayout(8000)
    playout.mark(1.0, b"at once")
    playout.media(1.0, SECOND[:640])
    playout.mark(1.0, b"40 ms")
    playout.media(1.0, SECOND[:80])
    playout.mark(1.0, b"45 ms")
    playout.media(1.0, SECOND[:560])
    playout.mark(1.0, b"80 ms")
    playout.mark(1.0, b"too")
    frames, marks = play(playout)
    assert frames == pytest.approx([1.0, 1.02, 1.04, 1.06])
    assert [name for _, name in marks] == [b"at once", b"40 ms", b"45 ms", b"80 ms", b"too"]
    assert [at for at, _ in marks] == pytest.approx([1.0, 1.04, 1.045, 1.08, 1.08])


def test_a_mark_behind_what_is_sounding_waits_for_its_end() -> None:
    playout = PacedPlayout(8000)
    playout.media(1.0, SECOND[:320])
    assert playout.take(1.0) == ([SECOND[:320]], [])
    playout.mark(1.005, b"m")
    assert playout.due == pytest.approx(1.02)
    assert playout.take(1.02) == ([], [b"m"])


def test_the_rest_of_a_frame_is_waited_for_as_long_as_its_beginning_sounds() -> None:
    playout = PacedPlayout(8000)
    playout.media(1.0, b"\1" * 400)
    assert playout.take(1.0)[0] == [b"\1" * 320]
    assert playout.due == pytest.approx(1.025)
    playout.media(1.024, b"\2" * 300)
    assert playout.take(1.024)[0] == [b"\1" * 80 + b"\2" * 240]
    playout.mark(1.024, b"end")
    assert playout.due == pytest.approx(1.04 + 60 / 16_000)
    assert playout.take(playout.due) == ([(b"\2" * 60).ljust(320, b"\0")], [b"end"])


def test_after_a_pause_the_grid_starts_with_the_next_audio() -> None:
    playout = PacedPlayout(8000)
    playout.media(1.0, SECOND[:640])
    play(playout)
    playout.media(2.007, SECOND[:640])
    assert play(playout)[0] == pytest.approx([2.007, 2.027])


def test_audio_that_comes_while_the_last_frame_sounds_waits_for_its_slot() -> None:
    playout = PacedPlayout(8000)
    playout.media(1.0, SECOND[:320])
    playout.take(1.0)
    playout.media(1.013, SECOND[:320])
    assert playout.due == 1.02


def test_clear_forgets_everything_and_gives_all_marks_back_in_order() -> None:
    playout = PacedPlayout(8000)
    playout.media(1.0, SECOND)
    playout.mark(1.0, b"one")
    playout.media(1.0, SECOND)
    playout.mark(1.0, b"two")
    playout.take(1.0)
    assert playout.clear(1.01) == [b"one", b"two"]
    assert playout.due == math.inf
    playout.mark(1.01, b"probe")
    assert playout.take(1.01) == ([], [b"probe"])  # nothing sounds any more, as far as marks are concerned
    playout.media(1.01, SECOND[:320])
    assert playout.due == 1.02  # but the frame that went out still does: one frame in 20 ms


@pytest.mark.parametrize(("late", "burst"), [(0.0, 1), (0.02, 2), (0.039, 2), (0.06, 4), (0.0601, 1), (1.0, 1)])
def test_who_comes_late_makes_up_for_three_frames_at_most(late, burst) -> None:
    playout = PacedPlayout(8000)
    playout.media(1.0, SECOND)
    playout.take(1.0)
    frames, _ = playout.take(1.02 + late)
    assert len(frames) == burst
    following = 1.02 + late + 0.02 if late > 0.06 else 1.02 + burst * 0.02
    assert playout.due == pytest.approx(following)
    assert len(playout.take(playout.due)[0]) == 1


def test_a_mark_moves_with_audio_that_is_late() -> None:
    playout = PacedPlayout(8000)
    playout.media(1.0, SECOND[:640])
    playout.mark(1.0, b"m")
    playout.take(1.0)
    playout.take(2.0)
    assert playout.due == pytest.approx(2.02)


def test_what_waits_is_bounded() -> None:
    playout = PacedPlayout(8000, max_queued=2.0)
    playout.media(1.0, SECOND)
    playout.media(1.0, SECOND)
    with pytest.raises(Overfull, match=r"2\.1 s of audio"):
        playout.media(1.0, bytes(1600))
    for _ in range(MAX_MARKS):
        playout.mark(1.0, b"m")
    with pytest.raises(Overfull, match="1000 marks"):
        playout.mark(1.0, b"m")


@given(
    st.lists(
        st.tuples(
            st.floats(0, 0.3),
            st.one_of(st.integers(1, 900).map(lambda samples: bytes(2 * samples)), st.just("mark"), st.just("clear")),
        ),
        max_size=40,
    )
)
def test_it_is_the_queue_that_carriers_have(steps) -> None:
    """The same marks in the same order, never before their audio, and at most a frame after a carrier's own queue."""
    ours, theirs = PacedPlayout(8000), PlayoutQueue()
    now, echoed, expected = 10.0, [], []

    def pass_time(until: float) -> None:
        while (due := ours.due) <= until:
            frames, names = ours.take(due)
            assert len(frames) <= 1
            echoed.extend((due, name.decode()) for name in names)
        while theirs.next_mark is not None and theirs.next_mark <= until:
            at = theirs.next_mark
            expected.extend((at, name) for name in theirs.reached(at))

    for number, (wait, step) in enumerate(steps):
        now += wait
        pass_time(now)
        if isinstance(step, bytes):
            ours.media(now, step)
            theirs.media(now, bytes(len(step) // 2))
        elif step == "mark":
            ours.mark(now, str(number).encode())
            theirs.mark(now, str(number))
        else:
            names = [name.decode() for name in ours.clear(now)]
            ahead = theirs.clear(now)
            assert names[len(names) - len(ahead) :] == ahead
            echoed.extend((now, name) for name in names)
            expected.extend((now, name) for name in ahead)
    pass_time(now + 1000)
    assert [name for _, name in echoed] == [name for _, name in expected]
    stretches = 1 + len(steps)
    assert all(-1e-6 <= at - then <= 0.02 * stretches for (at, _), (then, _) in zip(echoed, expected, strict=True))
