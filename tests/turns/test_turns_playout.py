"""Where the carrier is: the clock, what echoes add to it, and what they may not do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.turns.playout import ECHOES_REMEMBERED, Playout

RATE = 8000


def playout(max_correction: float = 0.06) -> Playout:
    return Playout(max_correction=max_correction)


def send(line: Playout, now: float, seconds: float, name: str, position: int | None) -> None:
    line.sent(now, seconds)
    line.mark_sent(now, name, position)


def paced(line: Playout, *, late: float, round_trip: float = 0.1, slices: int = ECHOES_REMEMBERED) -> float:
    """Slices of 100 ms, sent just in time, whose echoes come ``late`` after the round trip; returns the end."""
    line.mark_sent(0.0, "p1", None)
    line.echoed(round_trip, "p1")
    for number in range(slices):
        send(line, 1 + number * 0.1, 0.1, f"u1:{number}", (number + 1) * 800)
        line.echoed(1 + (number + 1) * 0.1 + round_trip + late, f"u1:{number}")
    return line.ends_at


# --- the clock ------------------------------------------------------------------------------------------------------


def test_audio_on_an_idle_line_starts_now_and_audio_behind_it_when_that_ends() -> None:
    line = playout()
    assert line.sent(10.0, 0.1) == 10.0
    assert line.sent(10.0, 0.1) == 10.1
    assert line.sent(10.05, 0.1) == 10.2
    assert line.ends_at == pytest.approx(10.3)
    assert line.sent(11.0, 0.1) == 11.0


def test_after_a_clear_the_line_is_idle() -> None:
    line = playout()
    line.sent(10.0, 5.0)
    line.cleared(10.5)
    assert line.ends_at == 10.5
    assert line.sent(10.6, 0.1) == 10.6


# --- the round trip -------------------------------------------------------------------------------------------------


def test_a_mark_behind_nothing_measures_the_round_trip_and_the_newest_counts() -> None:
    line = playout()
    assert line.round_trip is None
    line.mark_sent(0.0, "p1", None)
    line.echoed(0.3, "p1")
    assert line.round_trip == pytest.approx(0.3)
    line.mark_sent(5.0, "p2", None)
    line.echoed(5.4, "p2")
    assert line.round_trip == pytest.approx(0.4)


def test_a_mark_behind_audio_can_only_lower_it() -> None:
    line = playout()
    send(line, 0.0, 1.0, "u1:1", 8000)
    line.echoed(1.2, "u1:1")
    assert line.round_trip == pytest.approx(0.2)
    send(line, 2.0, 1.0, "u1:2", 16000)
    line.echoed(3.5, "u1:2")
    assert line.round_trip == pytest.approx(0.2)
    send(line, 4.0, 1.0, "u1:3", 24000)
    line.echoed(5.1, "u1:3")
    assert line.round_trip == pytest.approx(0.1)


def test_an_echo_before_its_time_makes_no_negative_round_trip() -> None:
    line = playout()
    send(line, 0.0, 1.0, "u1:1", 8000)
    line.echoed(0.5, "u1:1")
    assert line.round_trip == 0.0
    assert line.lag == 0.0


# --- echoes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("do", "status"),
    [
        (lambda line: line.mark_sent(1.0, "p1", None), "played"),
        (lambda line: line.cleared(1.0), "cleared"),
        (lambda line: line.forget("u1:"), "unknown"),
        (lambda line: line.echoed(1.1, "u1:1"), "unknown"),
    ],
    ids=["played", "after our clear", "after its utterance", "twice"],
)
def test_what_an_echo_proves(do, status) -> None:
    line = playout()
    send(line, 0.0, 1.0, "u1:1", 8000)
    do(line)
    assert line.echoed(1.2, "u1:1") == status
    assert line.echoed(1.3, "u1:1") == "unknown"


def test_an_echo_after_our_clear_confirms_and_measures_nothing() -> None:
    line = playout()
    send(line, 0.0, 1.0, "u1:1", 8000)
    line.cleared(0.5)
    line.echoed(3.0, "u1:1")
    assert line.confirmed == 0
    assert line.round_trip is None
    assert line.echo_delay == 0.0


def test_forgetting_one_utterance_leaves_the_others() -> None:
    line = playout()
    for name in ("u1:1", "u11:1", "m1:u1:", "p1"):
        line.mark_sent(0.0, name, 0)
    line.forget("u1:")
    assert line.expected == ["u11:1", "m1:u1:", "p1"]


def test_a_new_utterance_is_confirmed_by_its_own_marks_only() -> None:
    line = playout()
    send(line, 0.0, 1.0, "u1:1", 8000)
    line.echoed(1.1, "u1:1")
    assert line.confirmed == 8000
    line.begin()
    assert line.confirmed == 0
    assert line.heard(2.0, 0, RATE) == (0, False)


def test_reversed_echoes_never_take_anything_back() -> None:
    line = playout()
    send(line, 0.0, 0.1, "u1:1", 800)
    send(line, 0.0, 0.1, "u1:2", 1600)
    assert line.echoed(0.3, "u1:2") == "played"
    assert line.echoed(0.3, "u1:1") == "played"
    assert line.confirmed == 1600


# --- a carrier that plays late --------------------------------------------------------------------------------------


def test_the_smallest_lateness_of_the_last_echoes_is_the_lag() -> None:
    line = playout(max_correction=1.0)
    end = paced(line, late=0.25)
    assert line.lag == pytest.approx(0.25)
    assert line.runs_dry_at == pytest.approx(end + 0.25)


def test_pacing_believes_only_so_much_of_it() -> None:
    line = playout(max_correction=0.06)
    end = paced(line, late=0.25)
    assert line.lag == pytest.approx(0.25)
    assert line.runs_dry_at == pytest.approx(end + 0.06)


def test_a_few_late_echoes_are_not_a_late_carrier() -> None:
    line = playout()
    end = paced(line, late=0.25, slices=ECHOES_REMEMBERED - 2)
    assert line.lag == 0.0
    assert line.runs_dry_at == end


def test_a_batch_of_echoes_holds_one_that_was_in_time() -> None:
    line = playout()
    line.mark_sent(0.0, "p1", None)
    line.echoed(0.1, "p1")
    for number in range(ECHOES_REMEMBERED):
        send(line, 1 + number * 0.1, 0.1, f"u1:{number}", (number + 1) * 800)
    for number in range(ECHOES_REMEMBERED):  # all at once, when the last of them is due
        line.echoed(1 + ECHOES_REMEMBERED * 0.1 + 0.1, f"u1:{number}")
    assert line.lag == pytest.approx(0.0)


def test_a_clear_ends_the_lag() -> None:
    line = playout()
    paced(line, late=0.25)
    line.cleared(5.0)
    assert line.lag == 0.0
    assert line.echo_delay == pytest.approx(0.1)


def test_the_next_echo_is_expected_as_late_as_the_last_one_was() -> None:
    line = playout()
    paced(line, late=0.4, slices=1)
    assert line.echo_delay == pytest.approx(0.5)


# --- what was heard -------------------------------------------------------------------------------------------------

SLICES = [(0.0, 0.1, "u1:1", 800), (0.0, 0.1, "u1:2", 1600), (0.0, 0.8, "u1:3", 8000)]


@pytest.mark.parametrize(
    ("probe", "echoes", "at", "heard"),
    [
        # by the clock
        (None, [], 0.0, (0, False)),
        (None, [], 0.5, (4000, False)),
        (None, [], 1.0, (8000, False)),
        (None, [], 9.0, (8000, False)),
        # by the clock, less the round trip where it is known
        (0.3, [], 0.2, (0, False)),
        (0.3, [], 0.5, (1600, False)),
        (0.3, [], 1.3, (8000, False)),
        # the newest echo and the time since
        (0.3, [(0.4, "u1:1")], 0.4, (800, True)),
        (0.3, [(0.4, "u1:1")], 0.45, (1200, True)),
        # but not beyond the next mark, which would have come back
        (0.3, [(0.4, "u1:1")], 0.9, (1600, True)),
        # nor beyond the clock, where the echo was too early
        (None, [(0.01, "u1:2")], 0.15, (1600, True)),
        (None, [(0.01, "u1:2")], 0.5, (4000, True)),
        # nor beyond what was sent
        (0.3, [(0.5, "u1:2")], 9.0, (8000, True)),
        (0.3, [(0.5, "u1:2"), (1.3, "u1:3")], 1.3, (8000, True)),
        # one is missing: a later one says it all
        (0.3, [(0.5, "u1:2")], 0.6, (2400, True)),
    ],
)
def test_how_much_was_heard(probe, echoes, at, heard) -> None:
    line = playout()
    if probe is not None:
        line.mark_sent(1.0, "p1", None)
        line.echoed(1.0 + probe, "p1")
    for now, *slice_ in SLICES:
        send(line, 10 + now, *slice_)
    for now, name in echoes:
        line.echoed(10 + now, name)
    assert line.heard(10 + at, 8000, RATE) == heard


def test_audio_after_a_pause_of_the_synthesiser_is_not_heard_before_it_was_played() -> None:
    line = playout()
    send(line, 0.0, 0.1, "u1:1", 800)
    line.echoed(0.1, "u1:1")
    send(line, 5.0, 0.1, "u1:2", 1600)  # the carrier had been dry for 4.9 s
    assert line.heard(5.0, 1600, RATE) == (800, True)
    assert line.heard(5.05, 1600, RATE) == (1200, False)
    line.echoed(5.1, "u1:2")
    assert line.heard(5.1, 1600, RATE) == (1600, True)


def test_after_a_pause_what_was_heard_stays_heard_and_nothing_counts_twice() -> None:
    # given an utterance that was heard up to 4000 samples, and then paused
    line = playout()
    send(line, 0.0, 1.0, "u1:1", 8000)
    line.cleared(0.5)
    line.keep(4000, True)
    assert line.heard(3.0, 4000, RATE) == (4000, True)
    # when it goes on from 3000
    send(line, 5.0, 0.25, "u1:2", 5000)
    # then it is not more than that until it gets there
    assert line.heard(5.05, 5000, RATE) == (4000, True)
    assert line.heard(5.125, 5000, RATE) == (4000, True)
    assert line.heard(5.2, 5000, RATE) == (4600, False)
    assert line.echoed(5.2, "u1:1") == "cleared"
    assert line.confirmed == 0
    assert line.echoed(5.25, "u1:2") == "played"
    assert line.heard(5.25, 5000, RATE) == (5000, True)
    assert line.confirmed == 5000


def test_a_mark_of_the_repeated_stretch_takes_nothing_back() -> None:
    line = playout()
    send(line, 0.0, 0.5, "u1:1", 4000)
    line.echoed(0.5, "u1:1")
    line.cleared(0.6)
    line.keep(4000, True)
    send(line, 1.0, 0.1, "u1:2", 3800)
    line.echoed(1.1, "u1:2")
    assert line.confirmed == 4000
    assert line.heard(1.1, 3800, RATE) == (4000, True)


def test_echoes_of_two_clears_are_both_known() -> None:
    line = playout()
    send(line, 0.0, 1.0, "u1:1", 8000)
    line.cleared(0.1)
    send(line, 0.2, 1.0, "u1:2", 8000)
    line.cleared(0.3)
    assert [line.echoed(0.4, name) for name in ("u1:1", "u1:2", "u1:1")] == ["cleared", "cleared", "unknown"]


def test_a_new_utterance_begins_with_nothing_heard() -> None:
    line = playout()
    line.keep(4000, True)
    line.begin()
    assert line.heard(1.0, 0, RATE) == (0, False)


@given(
    delays=st.lists(st.floats(0, 0.3), min_size=1, max_size=30),
    one_way=st.floats(0, 0.3),
    cut=st.floats(0, 3),
)
def test_never_more_is_heard_than_a_carrier_that_did_not_run_dry_played(delays, one_way, cut) -> None:
    """A line in step: slices arrive in time, echoes come back late by anything (in order, as TCP keeps it)."""
    line = playout()
    line.mark_sent(1.0, "p1", None)
    line.echoed(1.0 + 2 * one_way, "p1")
    for number in range(len(delays)):
        send(line, 10.0, 0.1, f"u1:{number}", (number + 1) * 800)
    back = 0.0
    for number, jitter in enumerate(delays):
        back = max(back, (number + 1) * 0.1 + 2 * one_way + jitter)
        if back <= cut:
            line.echoed(10 + back, f"u1:{number}")
    sent = len(delays) * 800
    heard, _ = line.heard(10 + cut, sent, RATE)
    played_when_the_clear_arrives = min(sent, cut * RATE)
    slack = (2 * one_way + 0.1 + max(delays)) * RATE
    assert played_when_the_clear_arrives - slack - 2 <= heard <= played_when_the_clear_arrives + 1


@given(st.lists(st.sampled_from(["send", "echo", "lost", "clear", "begin", "probe"]), max_size=200))
def test_nothing_grows_with_echoes_that_never_come(steps) -> None:
    line = playout()
    utterance = 1
    for count, step in enumerate(steps):
        now = count * 0.05
        if step == "send":
            send(line, now, 0.1, f"u{utterance}:{count}", count)
        elif step == "echo":
            line.echoed(now, f"u{utterance}:{count - 1}")
        elif step == "clear":
            line.cleared(now)
        elif step == "probe":
            line.forget("p")
            line.mark_sent(now, f"p{count}", None)
        elif step == "begin":
            line.forget(f"u{utterance}:")
            line.begin()
            utterance += 1
    line.forget(f"u{utterance}:")
    assert line.expected == []
    assert len(line._expected) <= 1  # the newest probe
