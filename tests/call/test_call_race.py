"""Several providers for one answer: who is asked when, who wins, and what becomes of the others."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from callengine.call.budget import LEAST, Budget
from callengine.call.held import PartFailed, blame
from callengine.call.race import Contender, first_good
from callengine.errors import ProviderError
from callengine.testing.virtual import run_virtual, seed_scheduler

SCHEDULES = pytest.mark.parametrize("yields", range(4))
"""Things that happen at the same moment may happen in any order."""


class Vendor:
    """Answers after a while: with words, an error, or nothing. ``lost`` is what the race said of it."""

    def __init__(self, name, *script, patience=math.inf, who=None, closing=0.0, yields=0):
        self.name = name
        self.script = script
        self.who = who or self
        self.slow_after = patience
        self.closing = closing
        self.yields = yields
        self.asked = []
        self.left = []
        self.lost = []
        self.reading = False

    @asynccontextmanager
    async def ask(self):
        self.asked.append(trio.current_time())
        self._items = iter(self.script)
        try:
            yield self
        finally:
            assert not self.reading, "closed while somebody reads it"
            self.left.append(trio.current_time())

    async def __anext__(self):
        assert len(self.asked) > len(self.left), "read although it is closed"
        self.reading = True
        try:
            for item in self._items:
                if isinstance(item, float):
                    await trio.sleep(item)
                    for _ in range(self.yields):
                        await trio.lowlevel.checkpoint()
                elif isinstance(item, BaseException):
                    raise item
                else:
                    return item
            raise StopAsyncIteration
        finally:
            self.reading = False

    @property
    def contender(self):
        return Contender(self.name, self.who, self.ask, self.lost.append, slow_after=self.slow_after)


def fails(name, message="overloaded", fault="retry"):
    return ProviderError(name, message, fault=fault)


async def rest(won):
    items = []
    while True:
        try:
            items.append(await won.__anext__())
        except StopAsyncIteration:
            return items


async def race(*vendors, seconds=10.0, good=bool):
    """Who won, and all it said; at the end nobody is asked any more."""
    budget = Budget(seconds)
    try:
        async with first_good([vendor.contender for vendor in vendors], budget, good) as won:
            result = won.contender.name, await rest(won)
    finally:
        assert all(len(vendor.asked) == len(vendor.left) for vendor in vendors)
        assert sum(budget.spent.values()) == pytest.approx(seconds - budget.left)
    return result


# --- one after the other ----------------------------------------------------------------------------------------------


async def test_the_first_that_answers_wins_and_the_others_are_not_asked(autojump_clock):
    first, second = Vendor("first", 1.0, "a", 1.0, "b"), Vendor("second", "c")
    assert await race(first, second) == ("first", ["a", "b"])
    assert not second.asked
    assert not first.lost


async def test_what_came_before_the_first_good_item_is_kept(autojump_clock):
    assert await race(Vendor("first", "", "", "a", "", "b")) == ("first", ["", "", "a", "", "b"])


@pytest.mark.parametrize("script", [(fails("first"),), (), ("", ""), ("", fails("first"))])
async def test_the_next_is_asked_at_once_where_one_has_nothing_good(autojump_clock, script):
    first, second = Vendor("first", 1.0, *script), Vendor("second", "c")
    assert await race(first, second) == ("second", ["c"])
    assert second.asked == [1.0]
    assert [type(error) for error in first.lost] == [ProviderError]
    if not any(script):
        assert str(first.lost[0]) == "first: an empty answer"


async def test_the_last_error_is_raised_where_all_fail(autojump_clock):
    first, second = Vendor("first", fails("first")), Vendor("second", fails("second"))
    with pytest.raises(ProviderError, match="second: overloaded"):
        await race(first, second)
    assert len(first.lost) == len(second.lost) == 1


async def test_one_that_refuses_for_good_or_had_its_time_is_not_asked_again(autojump_clock):
    for script, times in (((fails("first", fault="fatal"),), 1), ((99.0,), 1), ((fails("first"),), 2)):
        first = Vendor("first", *script)
        again = Vendor("first", *script, who=first)
        with pytest.raises(ProviderError):
            await race(first, again)
        assert len(first.asked) + len(again.asked) == times


async def test_each_has_its_share_of_the_time_and_the_last_a_second_at_least(autojump_clock):
    vendors = [Vendor(name, math.inf) for name in ("first", "second", "third")]
    with pytest.raises(ProviderError, match="third: no answer for"):
        await race(*vendors, seconds=2.0)
    assert [vendor.asked for vendor in vendors] == [[0.0], [1.0], [2.0]]
    assert trio.current_time() == 3.0
    assert [str(vendor.lost[0]) for vendor in vendors] == [f"{v.name}: no answer for 1 s" for v in vendors]


# --- side by side -----------------------------------------------------------------------------------------------------


async def test_a_slow_one_is_raced_and_the_loser_is_left_at_once(autojump_clock):
    first, second = Vendor("first", 5.0, "a", patience=1.0), Vendor("second", 1.0, "b", 3.0, "c")
    assert await race(first, second) == ("second", ["b", "c"])
    assert second.asked == [1.0]
    assert first.left == [2.0]
    assert not first.lost  # to be slow is no failure


async def test_the_slow_one_may_still_win(autojump_clock):
    first, second = Vendor("first", 1.5, "a", patience=1.0), Vendor("second", 1.0, "b")
    assert await race(first, second) == ("first", ["a"])
    assert second.left == [1.5]


@SCHEDULES
async def test_both_win_at_the_same_moment(autojump_clock, yields):
    first, second = Vendor("first", 2.0, "a", patience=1.0, yields=yields), Vendor("second", 1.0, "b", yields=1)
    name, items = await race(first, second)
    assert items == {"first": ["a"], "second": ["b"]}[name]
    assert not first.lost
    assert not second.lost
    assert first.left == second.left == [2.0]


@SCHEDULES
async def test_one_fails_at_the_moment_at_which_the_other_wins(autojump_clock, yields):
    """Its session is broken all the same, and has to be replaced."""
    first = Vendor("first", 2.0, fails("first"), patience=1.0, yields=yields)
    second = Vendor("second", 1.0, "b", yields=1)
    assert await race(first, second) == ("second", ["b"])
    assert len(first.lost) == 1 if yields == 0 else len(first.lost) <= 1  # later, nobody asks any more


@SCHEDULES
@pytest.mark.parametrize("seed", range(4))
async def test_an_answer_that_comes_as_its_time_is_over_is_taken_whole_or_not_at_all(autojump_clock, yields, seed):
    seed_scheduler(seed)
    first, second = Vendor("first", 5.0, "a", 1.0, "b", yields=yields), Vendor("second", "c", 1.0, "d")
    name, items = await race(first, second, seconds=10.0)
    assert (name, items) in (("first", ["a", "b"]), ("second", ["c", "d"]))
    assert bool(first.lost) == (name == "second")


async def test_a_bug_in_one_is_not_taken_for_a_failure(autojump_clock):
    first, second = Vendor("first", 0.5, ValueError("a bug"), patience=0.1), Vendor("second", 1.0, "b")
    with pytest.raises(ValueError, match="a bug"):
        await race(first, second)
    assert second.left == [0.5]
    with pytest.raises(PartFailed), blame("llm"):
        await race(Vendor("first", ValueError("a bug")))


async def test_an_error_of_whoever_reads_comes_out_as_it_is(autojump_clock):
    first, second = Vendor("first", 2.0, "a", patience=1.0), Vendor("second", 3.0)
    with pytest.raises(KeyError):
        async with first_good([first.contender, second.contender], Budget(10), bool):
            raise KeyError("mine")
    assert first.left == second.left == [2.0]


async def test_an_answer_that_breaks_off_raises_where_it_is_read(autojump_clock):
    first, second = Vendor("first", "a", fails("first")), Vendor("second", "b")
    with pytest.raises(ProviderError, match="first: overloaded"):
        await race(first, second)
    assert not second.asked
    assert not first.lost  # whoever reads it knows


@pytest.mark.parametrize("after", [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5])
@pytest.mark.parametrize("closing", [0, 1, 3])
async def test_cancelled_at_any_time_nobody_is_asked_any_more(autojump_clock, after, closing):
    """Also while the answer is being read: it is closed by the task that asked for it, and not before the other one has
    stopped to read."""
    first = Vendor("first", 2.0, "a", 2.0, "b", patience=1.0, yields=closing)
    second = Vendor("second", 1.5, "c", 2.0, "d")
    with trio.move_on_after(after) as scope:
        await race(first, second)
    assert scope.cancelled_caught
    assert trio.current_time() == after
    assert len(first.left) == len(first.asked)
    assert len(second.left) == len(second.asked)
    assert not first.lost


SCRIPTS = st.lists(
    st.one_of(st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from(["", "x", "y"]), st.just("fail"), st.just("fatal")),
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(SCRIPTS, st.sampled_from([0.5, 1.0, math.inf])), min_size=1, max_size=3),
    st.one_of(st.none(), st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0])),
)
def test_whatever_they_do_an_answer_is_whole_and_everything_is_left(scripts, cancelled):
    def made(name, script, patience):
        items = [fails(name, fault="fatal" if item == "fatal" else "retry") if item in ("fail", "fatal") else item
                 for item in script]  # fmt: skip
        return Vendor(name, *items, patience=patience)

    vendors = [made(f"v{number}", *each) for number, each in enumerate(scripts)]

    async def main():
        with trio.move_on_after(math.inf if cancelled is None else cancelled):
            try:
                name, items = await race(*vendors, seconds=5.0)
            except ProviderError:
                return
            (winner,) = [vendor for vendor in vendors if vendor.name == name]
            assert items == [item for item in winner.script if isinstance(item, str)]
            assert not winner.lost
            assert all(len(vendor.lost) <= 1 for vendor in vendors)

    run_virtual(main)
    assert all(len(vendor.asked) == len(vendor.left) <= 1 for vendor in vendors)


# --- the budget -------------------------------------------------------------------------------------------------------


async def test_only_waiting_spends_the_budget(autojump_clock):
    budget = Budget(6.0)
    assert budget.share(3) == 2.0
    with budget.waiting("model"):
        await trio.sleep(2.0)
    await trio.sleep(60)
    assert budget.left == 4.0
    with trio.move_on_after(1.5), budget.waiting("model"):
        await trio.sleep(3.5)
    budget.note("tool", 7.0)
    budget.note("nobody", 0.0)
    assert budget.spent == {"model": 3.5, "tool": 7.0}
    assert budget.left == 2.5
    assert budget.share(5) == LEAST


@given(st.floats(0.1, 100), st.integers(1, 6))
def test_shares_of_those_who_use_them_up_are_fair_and_make_the_whole(seconds, tries):
    budget = Budget(seconds)
    shares = []
    for left in range(tries, 0, -1):
        shares.append(budget.share(left))
        budget.left -= shares[-1]
    assert all(share >= LEAST for share in shares)
    if seconds / tries >= LEAST:
        assert sum(shares) == pytest.approx(seconds)
        assert max(shares) == pytest.approx(min(shares))
