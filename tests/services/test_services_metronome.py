"""The ticker that all calls share: what is due runs in its slot, sends first, and nothing runs without need."""

from __future__ import annotations

import logging

import pytest
import trio

from callengine.services.metronome import SLOT, Metronome


class Steps(trio.abc.Instrument):
    """Counts how often a task is woken."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += self._name in task.name


@pytest.fixture
def ran() -> list[tuple[str, float]]:
    return []


def noting(ran, name):
    return lambda now: ran.append((name, round(now, 6)))


@pytest.mark.parametrize("slot", [SLOT, 0.02])
async def test_work_runs_once_in_the_slot_at_or_after_its_time(autojump_clock, nursery, ran, slot) -> None:
    metronome = Metronome(slot)
    nursery.start_soon(metronome.run)
    for name, when in (("on the grid", 2 * slot), ("a moment later", 2 * slot + 1e-4), ("late", 0.1)):
        metronome.send_at(when, noting(ran, name))
    await trio.sleep(1)
    assert ran == [("on the grid", 2 * slot), ("a moment later", 3 * slot), ("late", 0.1)]


async def test_in_a_slot_sends_run_before_other_work(autojump_clock, nursery, ran) -> None:
    metronome = Metronome()
    nursery.start_soon(metronome.run)
    metronome.call_at(0.0999, noting(ran, "call"))
    metronome.send_at(0.1, noting(ran, "send"))
    await trio.sleep(1)
    assert ran == [("send", 0.1), ("call", 0.1)]


async def test_a_tick_that_comes_late_runs_all_sends_first_in_their_order(autojump_clock, nursery, ran) -> None:
    metronome = Metronome()
    metronome.call_at(0.1, noting(ran, "call 1"))
    metronome.send_at(0.2, noting(ran, "send 2"))
    metronome.send_at(0.1, noting(ran, "send 1"))
    await trio.sleep(0.5)  # as if the process had been busy
    nursery.start_soon(metronome.run)
    await trio.sleep(0.5)
    assert ran == [("send 1", 0.5), ("send 2", 0.5), ("call 1", 0.5)]


async def test_what_is_due_already_runs_at_once(autojump_clock, nursery, ran) -> None:
    metronome = Metronome()
    nursery.start_soon(metronome.run)
    await trio.sleep(1.0)
    metronome.send_at(0.5, noting(ran, "overdue"))
    await trio.sleep(0.001)
    assert ran == [("overdue", 1.0)]


async def test_something_sooner_is_not_kept_waiting_by_something_later(autojump_clock, nursery, ran) -> None:
    metronome = Metronome()
    nursery.start_soon(metronome.run)
    metronome.send_at(5.0, noting(ran, "later"))
    await trio.sleep(1.0)
    metronome.send_at(2.0, noting(ran, "sooner"))
    await trio.sleep(9.0)
    assert ran == [("sooner", 2.0), ("later", 5.0)]


async def test_the_grid_does_not_drift(autojump_clock, nursery, ran) -> None:
    metronome = Metronome()
    nursery.start_soon(metronome.run)

    def again(now: float) -> None:
        ran.append(("again", round(now, 6)))
        metronome.send_at(now + 0.0991, again)

    metronome.send_at(0.1, again)
    await trio.sleep(10.001)
    assert [now for _, now in ran] == [round(0.1 * n, 6) for n in range(1, 101)]


async def test_work_that_asks_for_more_in_the_same_slot_gets_it(autojump_clock, nursery, ran) -> None:
    metronome = Metronome()
    nursery.start_soon(metronome.run)
    metronome.send_at(0.1, lambda now: metronome.send_at(now, noting(ran, "more")))
    await trio.sleep(0.11)
    assert ran == [("more", 0.1)]


async def test_it_sleeps_while_nothing_is_due(autojump_clock, ran) -> None:
    metronome = Metronome()
    steps = Steps("Metronome.run")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(metronome.run)
        await trio.sleep(1)
        trio.lowlevel.add_instrument(steps)
        await trio.sleep(1000)
        assert steps.count == 0
        metronome.send_at(trio.current_time() + 500, noting(ran, "once"))
        await trio.sleep(1000)
        assert len(ran) == 1
        assert steps.count == 1  # told of an earlier time, it does not even wake to look
        trio.lowlevel.remove_instrument(steps)
        nursery.cancel_scope.cancel()


async def test_one_call_s_fault_is_that_call_s(autojump_clock, nursery, ran, caplog) -> None:
    metronome = Metronome()
    nursery.start_soon(metronome.run)

    def faulty(now: float) -> None:
        raise ValueError("a bug")

    metronome.send_at(0.1, faulty)
    metronome.send_at(0.1, noting(ran, "neighbour"))
    metronome.call_at(0.1, noting(ran, "other work"))
    metronome.send_at(0.2, noting(ran, "later"))
    with caplog.at_level(logging.ERROR):
        await trio.sleep(1)
    assert ran == [("neighbour", 0.1), ("other work", 0.1), ("later", 0.2)]
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["a bug"]
