"""What every adapter promises, recogniser, voice or language model: keys, refusals, cost of nothing, and leaving."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from unittest.mock import ANY
from urllib.parse import urlsplit

import pytest
import trio
import trio.testing
from cases import CASES, STT, TTS, Case, Told, on_the_wire, overhear, simulated
from conformance_llm import reply_of
from conformance_stt import dictate
from conformance_tts import speaking, spoken
from testing.stages import cancelled_after, stages

from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import Parkable, Prewarmed, Probed
from callengine.providers.fields import PATIENCE
from callengine.testing.vendors import Vendor
from callengine.wire import Wire

EVERY = pytest.mark.parametrize("case", CASES, ids=str)
KEYED = pytest.mark.parametrize("case", [case for case in CASES if case.key], ids=str)

WRONG = "another-key-of-somebody-else-0123456789"


async def use(case: Case, vendor: Vendor, wire: Wire | None, told: Told | None = None, **settings: Any) -> object:
    """An ordinary use: an utterance, a sentence, a reply. What comes of it."""
    match case.role:
        case "stt":
            return await dictate(case, vendor, wire, told, **settings)
        case "tts":
            async with speaking(case, wire, told, **settings) as session:
                return await spoken(session)
        case _:
            return await reply_of(case, vendor, wire, told, **settings)


async def failure(case: Case, vendor: Vendor, wire: Wire, told: Told | None = None, **settings: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught, trio.fail_after(60):
        await use(case, vendor, wire, told, **settings)
    for secret in (vendor.key, WRONG):
        assert secret not in f"{caught.value!s} {caught.value!r}"
    return caught.value


# --- refused ----------------------------------------------------------------------------------------------------------


@EVERY
async def test_each_refusal_has_its_fault_and_the_vendor_s_words_without_the_key(autojump_clock, case: Case):
    for status, fault in case.refusals:
        async with simulated(case) as (vendor, wire):
            told = Told()
            vendor.refuse(status, f"the test says no to {vendor.key}", times=9)
            error = await failure(case, vendor, wire, told)
            assert (status, error.fault) == (status, fault)
            assert f"HTTP {status}" in str(error)
            assert "the test says no to [key]" in str(error)
            assert str(error).startswith(f"{case.make().name}: ")
            assert not any(usage.seconds > 0.1 or usage.characters or usage.input_tokens for usage in told.usage)


@EVERY
async def test_how_long_a_rate_limit_wants_us_to_wait_is_passed_on(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        vendor.refuse(429, "slow down", times=9, **{"retry-after": "7"})
        error = await failure(case, vendor, wire)
    assert (error.fault, error.retry_after) == ("retry", 7.0)


@KEYED
async def test_a_wrong_key_is_fatal_and_not_repeated(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        error = await failure(case, vendor, wire, **{case.key: WRONG})
    assert error.fault == "fatal"


@EVERY
async def test_a_vendor_that_cannot_be_reached_may_be_tried_again_and_then_works(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        vendor.faults.unreachable = 1
        assert (await failure(case, vendor, wire)).fault == "retry"
        assert await use(case, vendor, wire)


@EVERY
@pytest.mark.parametrize("delay", ["connect_delay", "answer_delay"])
async def test_a_vendor_that_does_not_answer_is_given_up_in_time(autojump_clock, case: Case, delay: str):
    async with simulated(case) as (vendor, wire):
        setattr(vendor.faults, delay, 50.0)
        began = trio.current_time()
        error = await failure(case, vendor, wire)
        assert trio.current_time() - began <= PATIENCE
    assert error.fault == "retry"


@pytest.mark.parametrize("case", [case for case in (*STT, *TTS) if hasattr(case.make(), "connect")], ids=str)
async def test_connect_bounds_the_connection_and_the_free_request(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        vendor.faults.answer_delay = 10.0
        if case.socket:
            assert "no connection within 1.5 s" in str(await failure(case, vendor, wire, connect=1.5))
            assert trio.current_time() == pytest.approx(1.5, abs=0.15)
        began = trio.current_time()
        assert " within 1.5 s" in str(await _probing(case.make(connect=1.5), wire))
        assert trio.current_time() - began == pytest.approx(1.5, abs=0.15)


@EVERY
async def test_a_refusal_does_not_spoil_the_recipe(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        vendor.refuse(503, "not now", times=1)
        await failure(case, vendor, wire)
        assert await use(case, vendor, wire)


# --- keys and settings ------------------------------------------------------------------------------------------------


@EVERY
async def test_the_key_is_shown_nowhere(autojump_clock, case: Case, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, "callengine")
    told = Told()
    async with simulated(case) as (vendor, wire):
        await use(case, vendor, wire, told)
        shown = [repr(case.make()), case.make().name, repr(told.openings), repr(told.usage), caplog.text]
    assert told.openings
    assert not any(vendor.key in each for each in shown)


@KEYED
def test_a_recipe_without_its_key_or_with_one_that_cannot_be_sent_says_so(monkeypatch: pytest.MonkeyPatch, case: Case):
    with pytest.raises(ConfigurationError) as caught:
        case.make(key="two words-" + WRONG)
    assert WRONG not in str(caught.value)


@pytest.mark.parametrize("case", [case for case in CASES if case.variable], ids=str)
def test_its_name_where_its_key_is_and_how_long_it_may_wait(monkeypatch: pytest.MonkeyPatch, case: Case):
    monkeypatch.setenv(case.variable, "from-the-environment")
    recipe = case.make_bare()
    assert (recipe.name, recipe.idle_limit) == (case.title, case.idle)
    assert getattr(recipe, case.key) == "from-the-environment"
    assert "from-the-environment" not in repr(recipe)
    monkeypatch.delenv(case.variable)
    if not case.prepare.get("keyed"):  # a server of one's own may know none
        with pytest.raises(ConfigurationError, match=f"needs a key: set {case.variable}"):
            case.make_bare()


@EVERY
async def test_what_a_session_starts_with_is_shown_before_and_a_hook_may_change_it(autojump_clock, case: Case):
    name, value = case.setting

    def change(settings: dict[str, Any]) -> None:
        own = settings.get(name)
        settings[name] = {**own, **value} if isinstance(own, dict) and isinstance(value, dict) else value

    told = Told(change=change)
    async with simulated(case) as (vendor, wire):
        messages = overhear(vendor)
        assert await use(case, vendor, wire, told)
    assert {(opening.role, opening.provider) for opening in told.openings} == {(case.role, case.provider)}
    asked = {(request.host, request.path) for request in vendor.requests}
    assert all((urlsplit(opening.url).netloc, urlsplit(opening.url).path) in asked for opening in told.openings)
    assert on_the_wire(vendor, messages, name, value)


@EVERY
async def test_a_setting_that_the_recipe_does_not_know_reaches_the_vendor(autojump_clock, case: Case):
    name, value = case.setting
    async with simulated(case) as (vendor, wire):
        messages = overhear(vendor)
        assert await use(case, vendor, wire, extra={name: value})
    assert on_the_wire(vendor, messages, name, value)


@EVERY
async def test_it_is_not_there_by_itself(autojump_clock, case: Case):
    name, value = case.setting
    async with simulated(case) as (vendor, wire):
        messages = overhear(vendor)
        await use(case, vendor, wire)
    assert not on_the_wire(vendor, messages, name, value)


# --- before and after -------------------------------------------------------------------------------------------------


@EVERY
async def test_nothing_is_asked_of_the_vendor_after_the_session(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        await use(case, vendor, wire)
        await trio.sleep(2)
        asked = len(vendor.requests)
        assert not vendor.sockets
        await trio.sleep(600)
        assert len(vendor.requests) == asked


@EVERY
async def test_a_session_that_waited_for_its_call_as_long_as_it_may_still_works(autojump_clock, case: Case):
    recipe = case.make()
    assert isinstance(recipe, Parkable)
    wait = min(recipe.idle_limit, 600.0)
    told = Told()
    async with simulated(case) as (vendor, wire):
        if case.role == "stt":
            from conformance_stt import heard, listening

            async with listening(case, wire, told) as ears:
                await trio.sleep(wait)
                assert not [usage for usage in told.usage if not math.isclose(usage.seconds, 0.0)]
                assert (await heard(case, vendor, ears, "good evening", 1)).text == "good evening"
        elif case.role == "tts":
            async with speaking(case, wire, told) as session:
                await trio.sleep(wait)
                assert not told.usage
                assert await spoken(session)
        else:
            assert await reply_of(case, vendor, wire, told, wait=wait)


@EVERY
async def test_a_session_that_can_be_prewarmed_costs_nothing_then(autojump_clock, case: Case):
    told = Told()
    async with simulated(case) as (vendor, wire), case.make().open(told.context(wire)) as session:
        if isinstance(session, Prewarmed):
            await session.prewarm()
            assert vendor.connected == 1
            assert [request.path for request in vendor.requests] == ([case.free] if case.free else ANY)
        assert (vendor.spoken, vendor.heard, told.usage) == ([], [], [])


@EVERY
async def test_the_free_request_says_what_a_call_would_meet(autojump_clock, case: Case):
    assert isinstance(case.make(), Probed)
    async with simulated(case) as (vendor, wire):
        with trio.fail_after(20):
            await case.make().probe(wire)
        assert [request.path for request in vendor.requests] == ([case.free] if case.free else ANY)
        assert (vendor.spoken, vendor.heard, vendor.sockets) == ([], [], [])
    async with simulated(case) as (vendor, wire):
        vendor.faults.unreachable = 1
        assert (await _probing(case.make(), wire)).fault == "retry"
        vendor.refuse(429, "slow down", times=3)
        assert (await _probing(case.make(), wire)).fault == "retry"


@KEYED
async def test_the_free_request_knows_a_wrong_key(autojump_clock, case: Case):
    async with simulated(case) as (_, wire):
        assert (await _probing(case.make(key=WRONG), wire)).fault == "fatal"


async def _probing(recipe: Any, wire: Wire) -> ProviderError:
    with pytest.raises(ProviderError) as caught, trio.fail_after(20):
        await recipe.probe(wire)
    assert WRONG not in str(caught.value)
    return caught.value


# --- leaving ----------------------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("manner", ["at once", "slow"])
async def test_cancelled_at_any_moment_nothing_is_left_within_the_clean_up(autojump_clock, case: Case, manner: str):
    await _at_every_stage(case, manner)


async def _at_every_stage(case: Case, manner: str) -> None:
    done = 0
    for steps in stages(dense=30, growth=1.2):
        async with simulated(case) as (vendor, wire):
            if manner == "slow":
                vendor.faults.connect_delay = vendor.faults.answer_delay = 0.3
                vendor.faults.chunk_delay = 0.05
            work: Callable[[], Awaitable[object]] = partial(_use_shortly, case, vendor, wire)
            finished = await cancelled_after(steps, work)
            if not finished:
                await trio.sleep(1.1)
                assert not vendor.sockets
        done += 1
        if finished:
            break
    assert done > 20


async def _use_shortly(case: Case, vendor: Vendor, wire: Wire) -> object:
    return await (dictate(case, vendor, wire, None, "four") if case.role == "stt" else use(case, vendor, wire))
