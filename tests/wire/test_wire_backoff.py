"""Pauses before another try."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from callengine.wire import Backoff


def test_each_step_is_twice_the_last_up_to_the_longest() -> None:
    backoff = Backoff(first=0.25, longest=2.0)
    bounds = [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]
    for bound in bounds:
        assert bound / 2 <= backoff.failed() <= bound
    assert backoff.failures == len(bounds)


def test_what_works_again_begins_anew() -> None:
    backoff = Backoff(first=0.25)
    for _ in range(10):
        backoff.failed()
    backoff.succeeded()
    assert backoff.failures == 0
    assert backoff.failed() <= 0.25


def test_the_vendor_s_own_pause_is_never_cut_short_and_never_makes_ours_shorter() -> None:
    assert Backoff().failed(retry_after=7.0) == 7.0
    backoff = Backoff(first=8.0)
    assert backoff.failed(retry_after=0.1) >= 4.0


def test_calls_that_fail_together_do_not_come_back_together() -> None:
    pauses = {Backoff(draw=random.Random(number)).failed() for number in range(100)}
    assert len(pauses) == 100


def test_the_same_draw_gives_the_same_pauses() -> None:
    one, other = (Backoff(draw=random.Random(7)) for _ in range(2))
    assert [one.failed() for _ in range(5)] == [other.failed() for _ in range(5)]


@given(st.integers(0, 10_000), st.floats(0.001, 10.0), st.floats(10.0, 100.0))
def test_however_often_it_failed_the_pause_is_bounded(failures: int, first: float, longest: float) -> None:
    pause = Backoff(first=first, longest=longest, failures=failures).failed()
    assert first / 2 <= pause <= longest
