"""An engine on a simulated network: signed webhooks, commands, calls in and out."""

from __future__ import annotations

import pytest
import trio
from testing.test_testing_lab import run_pytest, write

from callengine import Agent
from callengine.testing import CarrierSettings
from callengine.testing.clouds import Answers, Busy, Declines, Machine, Manners, NetworkSettings, RingsOut, Unreachable

HELLO = Agent(prompt="Be brief.", greeting="Hello there.")
ANNA = "+15550100002"
CLOUDS = ["twilio", "signalwire", "telnyx", "plivo"]


@pytest.mark.parametrize("kind", CLOUDS)
async def test_somebody_calls(call_lab, kind):
    call_lab.llm.replies("At eight.")
    async with call_lab.network(HELLO, carrier=kind) as network:
        anna = network.rings(caller=ANNA)
        await anna.hears("Hello there.")
        await anna.says("When is a table free?")
        await anna.hears("At eight.")
        await anna.hangs_up()
    assert (call_lab.call.carrier, call_lab.call.caller) == (kind, ANNA)
    assert call_lab.outcomes[0].ended_by == "caller"
    assert call_lab.outcomes[0].call_id == anna.leg.call_id


@pytest.mark.parametrize("kind", CLOUDS)
async def test_somebody_is_called(call_lab, kind):
    async with call_lab.network(HELLO, carrier=kind) as network:
        network.phone(ANNA, Answers(after=2.0))
        call = await network.engine.dial(ANNA)
        anna = await network.answered(ANNA)
        await anna.hears("Hello there.")
        await anna.hangs_up()
        assert (await call.wait()).result == "answered"


@pytest.mark.parametrize("kind", CLOUDS)
@pytest.mark.parametrize(
    ("phone", "result"),
    [(Busy(after=0.5), "busy"), (RingsOut(), "no answer"), (Unreachable(), "failed")],
    ids=["busy", "rings out", "unreachable"],
)
async def test_somebody_is_not_reached(call_lab, kind, phone, result):
    async with call_lab.network(HELLO, carrier=kind) as network:
        network.phone(ANNA, phone)
        call = await network.engine.dial(ANNA, ring_timeout=20)
        assert (await call.wait()).result == result
    assert call_lab.calls == []


@pytest.mark.parametrize("kind", CLOUDS)
async def test_a_busy_line_that_is_told_before_the_commands_own_answer(call_lab, kind):
    async with call_lab.network(HELLO, carrier=kind) as network:
        network.phone(ANNA, Busy(after=0.2))
        network.cloud.fault(method="POST", answer_delay=3.0)
        call = await network.engine.dial(ANNA)
        assert (await call.wait()).result == "busy"


@pytest.mark.parametrize("kind", CLOUDS)
@pytest.mark.parametrize("webhooks", [Manners(twice=True), Manners(jitter=3.0, seed=3)], ids=["twice", "in disorder"])
async def test_the_result_is_the_same_whatever_webhooks_do(call_lab, kind, webhooks):
    async with call_lab.network(HELLO, carrier=kind, webhooks=webhooks) as network:
        network.phone(ANNA, Declines(after=1.0))
        call = await network.engine.dial(ANNA)
        assert (await call.wait()).result in ("busy", "refused")


async def test_the_agent_hangs_up_by_command_and_the_carrier_closes(call_lab):
    async def story(call):
        await call.say("Goodbye.")
        await call.hang_up()

    async with call_lab.network(story, carrier="twilio") as network:
        anna = network.rings(caller=ANNA)
        await anna.hears("Goodbye.")
        await anna.is_hung_up_on(timeout=1)
    assert [asked.fields for asked in network.cloud.requests] == [{"Status": "completed"}]
    assert not anna.leg.streams[0].closed_by_engine


async def test_times_and_the_carriers_behaviour_are_settings(call_lab):
    times = NetworkSettings(dialling=4.0, ring_delay=0.0)
    carrier = CarrierSettings(kind="twilio", delay=0.3, marks="never")
    async with call_lab.network(HELLO, carrier=carrier, times=times) as network:
        network.phone(ANNA, Machine(after=1.0, greeting="We are out.", beep=False))
        await network.engine.dial(ANNA)
        machine = await network.answered(ANNA)
        assert trio.current_time() == pytest.approx(5.0)
        await machine.waits(2)
        assert machine.words[0].at > 5.0 + 0.6  # there and back
    assert call_lab.call.journal.of("mark.echoed") == []


async def test_a_text_message_comes_in(call_lab):
    messages = []
    async with call_lab.network(HELLO) as network:
        network.engine.on_message(messages.append)
        network.text("Are you open?", sender=ANNA)
        await trio.sleep(1)
    assert [(message.sender, message.text) for message in messages] == [(ANNA, "Are you open?")]


async def test_whatever_the_carrier_did_not_like_fails_the_test(call_lab):
    with pytest.raises(AssertionError, match=r"the carrier complained .*12200"):
        async with call_lab.network(HELLO) as network:
            network.cloud.mistakes.append("12200: there is no Shout")


async def test_the_same_over_real_sockets(live_call_lab):
    async with live_call_lab.network(HELLO, carrier="twilio") as network:
        network.phone(ANNA, Answers(after=0.2))
        call = await network.engine.dial(ANNA)
        anna = await network.answered(ANNA)
        await anna.hears("Hello there.")
        await anna.hangs_up()
        assert (await call.wait()).result == "answered"
    statuses = [told.fields["CallStatus"] for told in network.cloud.webhooks if "SequenceNumber" in told.fields]
    assert statuses == ["initiated", "ringing", "in-progress", "completed"]


def test_the_carrier_of_a_run_is_an_option(tmp_path):
    write(
        tmp_path,
        "test_mine.py",
        """
        from callengine import Agent
        from callengine.testing import CarrierSettings

        HELLO = Agent(prompt="Be brief.", greeting="Hello there.")

        async def test_calls(call_lab):
            async with call_lab.dial(HELLO, carrier=CarrierSettings(delay=0.1)) as caller:
                await caller.hears("Hello there.")
            assert call_lab.call.carrier == "plivo"

        async def test_networks(call_lab):
            async with call_lab.network(HELLO) as network:
                await network.rings().hears("Hello there.")
            assert call_lab.call.carrier == "plivo"

        async def test_one_that_names_its_own(call_lab):
            async with call_lab.dial(HELLO, carrier="telnyx") as caller:
                await caller.hears("Hello there.")
            assert call_lab.call.carrier == "telnyx"
        """,
    )
    run = run_pytest(tmp_path, "--carrier", "plivo")
    assert run.returncode == 0, run.stdout + run.stderr
    wrong = run_pytest(tmp_path, "--carrier", "bell")
    assert "there is no simulated carrier 'bell'" in wrong.stdout
