"""Commits: not cut with whoever waits for them, and bounded once their call is over."""

from __future__ import annotations

import pytest
import trio

from callengine.call.commits import Commits


async def test_who_waits_can_go_and_the_work_goes_on(autojump_clock):
    done = []

    async def work() -> None:
        await trio.sleep(5)
        done.append(trio.current_time())

    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        commits = Commits(1.0)
        commits.open(nursery)
        with trio.move_on_after(1):
            await commits.do(work, timeout=30)
        assert trio.current_time() == begun + 1
    assert done == [begun + 5]


@pytest.mark.parametrize("begun", ["before", "after"])
@pytest.mark.parametrize("cancelled", [True, False])
async def test_the_end_of_the_call_leaves_it_its_grace(autojump_clock, begun, cancelled):
    ended = []

    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        commits = Commits(2.0)
        commits.open(nursery)
        if begun == "after":
            commits.end()
        over_at = trio.current_time() + (3 if begun == "before" else 0)
        with trio.move_on_at(over_at + 0.5 * (begun == "after")):
            await commits.do(work, timeout=60)
        commits.end()
        if cancelled:
            nursery.cancel_scope.cancel()
    assert ended == [over_at + 2]
