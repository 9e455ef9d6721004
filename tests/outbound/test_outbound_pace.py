"""The caps of dialling: how many at once, and how soon one after another."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from callengine.errors import ConfigurationError
from callengine.outbound.pace import Pace


async def hold(pace: Pace, seconds: float, starts: list[tuple[str, float]], name: str = "-") -> None:
    async with pace.slot():
        starts.append((name, round(trio.current_time(), 6)))
        await trio.sleep(seconds)


async def start_in_order(nursery: trio.Nursery, pace: Pace, seconds: float, names: str) -> list[tuple[str, float]]:
    starts: list[tuple[str, float]] = []
    for name in names:
        nursery.start_soon(hold, pace, seconds, starts, name)
        await trio.testing.wait_all_tasks_blocked()
    return starts


async def test_starts_are_a_second_over_the_rate_apart(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        starts = await start_in_order(nursery, Pace(per_second=4, at_once=10), 0.0, "abcd")
    assert starts == [("a", 0.0), ("b", 0.25), ("c", 0.5), ("d", 0.75)]


async def test_no_more_than_the_limit_are_at_it_at_once(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        starts = await start_in_order(nursery, Pace(per_second=math.inf, at_once=2), 10.0, "abcde")
    assert starts == [("a", 0.0), ("b", 0.0), ("c", 10.0), ("d", 10.0), ("e", 20.0)]


async def test_both_caps_hold_together_and_who_comes_first_is_first(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        starts = await start_in_order(nursery, Pace(per_second=0.5, at_once=2), 5.0, "abcd")
    assert starts == [("a", 0.0), ("b", 2.0), ("c", 5.0), ("d", 7.0)]


async def test_idle_time_is_not_saved_up(autojump_clock: MockClock) -> None:
    # given a pace that was not used for a minute
    pace, starts = Pace(per_second=1, at_once=10), []
    await hold(pace, 0.0, starts)
    await trio.sleep(60)

    # when three come together
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(hold, pace, 0.0, starts)

    # then they are a second apart all the same
    assert [at for _, at in starts] == [0.0, 60.0, 61.0, 62.0]


@pytest.mark.parametrize("waits_for", ["its turn", "a place"])
async def test_who_is_cancelled_while_waiting_costs_the_others_nothing(
    autojump_clock: MockClock, waits_for: str
) -> None:
    pace = Pace(per_second=1, at_once=10) if waits_for == "its turn" else Pace(per_second=math.inf, at_once=1)
    starts: list[tuple[str, float]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold, pace, 1.0, starts, "first")
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.5):
            await hold(pace, 1.0, starts, "impatient")
        nursery.start_soon(hold, pace, 1.0, starts, "next")
    assert starts == [("first", 0.0), ("next", 1.0)]


async def test_a_place_is_free_again_when_its_holder_fails(autojump_clock: MockClock) -> None:
    pace = Pace(per_second=math.inf, at_once=1)
    with pytest.raises(ZeroDivisionError):
        async with pace.slot():
            raise ZeroDivisionError
    with trio.fail_after(0.1):
        async with pace.slot():
            pass


def test_another_run_of_trio_does_not_wait_for_the_clock_of_the_last() -> None:
    # given a pace that was used when the clock showed a day
    pace = Pace(per_second=1, at_once=1)

    async def use() -> float:
        begun = trio.current_time()
        async with pace.slot():
            return trio.current_time() - begun

    late = MockClock(autojump_threshold=0)
    late.jump(86_400)
    trio.run(use, clock=late)

    # then a new clock, which begins at 0, costs one gap at most
    assert trio.run(use, clock=MockClock(autojump_threshold=0)) == 1.0


@pytest.mark.parametrize(("per_second", "at_once"), [(0, 1), (-1, 1), (math.nan, 1), (1, 0)])
def test_caps_that_let_nothing_through_are_refused(per_second: float, at_once: int) -> None:
    with pytest.raises(ConfigurationError, match="give"):
        Pace(per_second, at_once)
