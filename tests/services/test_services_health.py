"""How providers fare over all calls of an engine: who is asked first, who is left alone, who may try again."""

from __future__ import annotations

import math

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from callengine.errors import ProviderError
from callengine.services.health import ENOUGH, FATAL_PAUSE, KEPT, PROBE_TIMEOUT, REMEMBERED, Health, Record
from callengine.testing.virtual import run_virtual


@attrs.frozen
class Plain:
    """A recipe that cannot be asked whether it is back."""

    name: str


@attrs.define(eq=False)
class Askable:
    """One that can."""

    name: str
    answers: list = attrs.field(factory=list)
    """Errors, seconds, or None: it is back."""
    asked: list = attrs.field(factory=list)

    async def probe(self, wire):
        del wire
        self.asked.append(trio.current_time())
        match self.answers.pop(0) if self.answers else None:
            case float() as seconds:
                await trio.sleep(seconds)
            case Exception() as error:
                raise error


A, B, C = Plain("a"), Plain("b"), Plain("c")


def error(fault="retry", retry_after=None):
    return ProviderError("a", "overloaded", fault=fault, retry_after=retry_after)


@pytest.fixture
def health():
    return Health()


async def test_those_that_work_stand_as_they_stand(autojump_clock, health):
    assert health.in_order("stt", [B, A, C]) == [B, A, C]


async def test_one_that_failed_stands_last_for_a_while_that_grows(autojump_clock, health):
    pauses = []
    for _ in range(12):
        health.failed("stt", A, error())
        failed = trio.current_time()
        assert health.in_order("stt", [A, B]) == [B, A]
        await trio.sleep_until(health.record("stt", A).down_until - 0.001)
        assert health.in_order("stt", [A, B]) == [B, A]
        await trio.sleep(0.001)
        assert health.in_order("stt", [A, B]) == [A, B]
        pauses.append(trio.current_time() - failed)
    steps = [min(60.0, 0.5 * 2.0**number) for number in range(12)]
    assert all(step / 2 <= pause <= step + 0.01 for step, pause in zip(steps, pauses, strict=True))


async def test_of_two_that_failed_the_one_that_is_free_first_comes_first(autojump_clock, health):
    health.failed("stt", A, error(retry_after=30.0))
    health.failed("stt", B, error(retry_after=10.0))
    assert health.in_order("stt", [A, B, C]) == [C, B, A]


async def test_what_works_again_is_forgotten(autojump_clock, health):
    for _ in range(5):
        health.failed("stt", A, error())
    health.succeeded("stt", A)
    assert health.in_order("stt", [A, B]) == [A, B]
    health.failed("stt", A, error())
    assert health.record("stt", A).down_until <= trio.current_time() + 0.5


async def test_the_ordinary_end_of_a_session_is_no_failure_and_a_refusal_for_good_is_a_long_one(autojump_clock, health):
    health.failed("stt", A, error("reopen"))
    assert not health.record("stt", A).down
    health.failed("stt", A, error("fatal"))
    assert health.record("stt", A).down_until == trio.current_time() + FATAL_PAUSE


async def test_roles_are_apart_and_equal_recipes_are_one(autojump_clock, health):
    health.failed("stt", A, error())
    assert health.in_order("tts", [A, B]) == [A, B]
    assert health.in_order("stt", [Plain("a"), B]) == [B, Plain("a")]


# --- a trial ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["well", "failed", "cancelled", "a bug"])
async def test_one_call_at_a_time_tries_whether_it_works_again_and_however_that_ends_another_may(
    autojump_clock, health, left
):
    """A barge-in in the middle of the trial, too, gives it free."""
    health.failed("tts", A, error())
    await trio.sleep(1)
    with trio.CancelScope() as scope:
        try:
            with health.trial("tts", A):
                assert health.in_order("tts", [A, B]) == [B, A]
                with health.trial("tts", A):
                    pass
                assert health.in_order("tts", [A, B]) == [B, A]  # somebody else who has no choice ends nothing
                if left == "cancelled":
                    scope.cancel()
                    await trio.sleep_forever()
                if left == "failed":
                    raise error()
                if left == "a bug":
                    raise ZeroDivisionError
        except (ProviderError, ZeroDivisionError):
            pass
    assert health.in_order("tts", [A, B]) == [A, B]


async def test_one_that_works_is_tried_by_all(autojump_clock, health):
    with health.trial("tts", A):
        assert health.in_order("tts", [A, B]) == [A, B]
        assert not health.record("tts", A).on_trial


# --- asking whether it is back ----------------------------------------------------------------------------------------


async def test_one_that_can_be_asked_is_no_call_s_trial(autojump_clock, health):
    askable = Askable("a")
    health.failed("llm", askable, error())
    await trio.sleep(1000)
    assert health.in_order("llm", [askable, B]) == [B, askable]


async def test_it_is_asked_when_its_time_has_come_until_it_is_back_and_then_no_more(autojump_clock, health, nursery):
    askable = Askable("a", answers=[error(), 99.0, ValueError("somebody's own bug"), 2.0])
    nursery.start_soon(health.probe, None)
    await trio.sleep(5)
    assert askable.asked == []
    health.failed("llm", askable, error(retry_after=3.0))
    await trio.sleep(400)
    assert len(askable.asked) == 4
    assert askable.asked[0] == 8.0
    first, second, third = (later - sooner for sooner, later in zip(askable.asked, askable.asked[1:], strict=False))
    assert 0.5 <= first <= 1.0
    assert PROBE_TIMEOUT + 1.0 <= second <= PROBE_TIMEOUT + 2.0
    assert third >= 2.0
    assert health.in_order("llm", [askable, B]) == [askable, B]
    nursery.cancel_scope.cancel()


async def test_a_slow_answer_of_one_does_not_leave_another_unasked_for_long(autojump_clock, health, nursery):
    slow, quick = Askable("slow", answers=[99.0]), Askable("quick")
    nursery.start_soon(health.probe, None)
    health.failed("llm", slow, error())
    health.failed("tts", quick, error())
    await trio.sleep(PROBE_TIMEOUT + 2)
    assert not health.record("tts", quick).down
    nursery.cancel_scope.cancel()


# --- its memory -------------------------------------------------------------------------------------------------------


async def test_a_program_that_makes_recipes_for_every_call_does_not_fill_the_memory(autojump_clock, health):
    for number in range(10 * KEPT):
        health.failed("stt", Plain(f"p{number}"), error())
        health.in_order("stt", [Plain("always"), Plain(f"q{number}")])
        with health.trial("tts", Plain(f"r{number}")):
            health.succeeded("tts", Plain(f"r{number}"), 0.1)
    assert len(health._records) == KEPT


async def test_what_is_used_is_not_forgotten_for_what_is_not(autojump_clock, health):
    health.failed("stt", A, error("fatal"))
    for number in range(10 * KEPT):
        health.record("stt", Plain(f"p{number}"))
        assert health.in_order("stt", [A, B]) == [B, A]


@given(st.lists(st.floats(0.01, 5.0), max_size=3 * REMEMBERED))
def test_slow_is_slower_than_its_own_p95(firsts):
    health = Health()
    for seconds in firsts:
        health.succeeded("llm", A, seconds)
    record: Record = health.record("llm", A)
    last = firsts[-REMEMBERED:]
    assert len(record.firsts) == len(last)
    if len(last) < ENOUGH:
        assert record.slow_after == math.inf
    else:
        assert sum(seconds > record.slow_after for seconds in last) <= 0.05 * len(last)
        assert record.slow_after in last


WHAT = ("retry", "fatal", "reopen", "well", "trial", "wait")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(WHAT)), max_size=30))
def test_nobody_is_ever_left_out_and_one_that_works_is_never_behind_one_that_does_not(history):
    async def main():
        health = Health()
        recipes = [A, B, C]
        for name, what in history:
            recipe = Plain(name)
            match what:
                case "well":
                    health.succeeded("llm", recipe)
                case "trial":
                    with health.trial("llm", recipe):
                        await trio.sleep(0.1)
                case "wait":
                    await trio.sleep(1.0)
                case fault:
                    health.failed("llm", recipe, error(fault))
            order = health.in_order("llm", recipes)
            assert sorted(each.name for each in order) == ["a", "b", "c"]
            waits = [health.record("llm", each).down_until > trio.current_time() for each in order]
            assert waits == sorted(waits)

    run_virtual(main)
