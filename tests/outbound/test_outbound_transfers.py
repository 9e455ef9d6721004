"""Callers who are handed over: cold, warm, and taken back where nobody answers. On every carrier's network."""

from __future__ import annotations

import math
from functools import partial

import attrs
import numpy as np
import pytest
import trio

from callengine import Agent, Clip
from callengine.audio.convert import to_pcm
from callengine.audio.hold import hold_tones
from callengine.errors import CallEnded, CarrierError, NotAllowed, NotSupported, TransferFailed
from callengine.telephony import TransferKind
from callengine.testing.clouds import Answers, Busy, Declines, RingsOut

CALLER, HUMAN, STRANGER = "+15005550101", "+15005550102", "+15005550199"
DESK = Agent(may_reach=(HUMAN,))
FAST = {"dials_per_second": math.inf}


@pytest.fixture(params=["twilio", "signalwire", "telnyx", "plivo"])
def carrier(request: pytest.FixtureRequest) -> str:
    return request.param


# --- cold ---------------------------------------------------------------------------------------------------------


async def test_a_cold_transfer_connects_both_and_ends_the_engine_s_part(call_lab, carrier):
    async def story(call):
        await call.say("I will put you through.")
        await call.transfer(HUMAN)

    async with call_lab.network(story, carrier=carrier, agent=DESK) as network:
        network.phone(HUMAN, Answers(after=2))
        caller = network.rings(caller=CALLER)
        await caller.hears("put you through")
        human = await network.answered(HUMAN)
        await human.says("This is the desk.")
        await caller.hears("This is the desk.")
        await caller.says("Hello desk.")
        await human.hears("Hello desk.")

        assert not network.engine.calls
        await caller.hangs_up()
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("agent", "transferred to •••0102")
    call_lab.assert_nothing_left()


@pytest.mark.parametrize(("phone", "why"), [(Busy(), "busy"), (RingsOut(), "no answer"), (Declines(), "")])
async def test_a_caller_whom_nobody_takes_comes_back_to_the_same_agent(call_lab, carrier, phone, why):
    backs = []

    async def story(call):
        backs.append(call.came_back)
        if call.came_back:
            await call.say("Nobody is there.")
            await call.listen()
            return
        await call.transfer(HUMAN, timeout=10)

    async with call_lab.network(story, carrier=carrier, agent=DESK) as network:
        network.phone(HUMAN, phone)
        caller = network.rings(caller=CALLER)
        await caller.hears("Nobody is there.")
        await caller.hangs_up()

    assert backs[0] == ""
    assert backs[1] == why or (not why and backs[1])
    assert len(backs) == 2
    call_lab.assert_nothing_left()


async def test_an_agent_that_gets_its_caller_back_says_so_in_place_of_the_greeting(call_lab):
    agent = attrs.evolve(DESK, greeting="Hello.", transfer_failed="Nobody could take your call.")
    async with call_lab.network(agent) as network:
        network.phone(HUMAN, Busy())
        caller = network.rings(caller=CALLER)
        await caller.hears("Hello.")
        await call_lab.call.transfer(HUMAN)
        await caller.hears("Nobody could take your call.")
        assert caller.heard.count("Hello") == 1
        await caller.hangs_up()


async def test_an_agent_remembers_what_a_caller_said_before_he_was_transferred(call_lab, carrier):
    agent = attrs.evolve(DESK, greeting="Hello.", transfer_failed="Nobody could take your call.")
    call_lab.llm.replies("I will ask the kitchen.", "They had soup for you.")
    async with call_lab.network(agent, carrier=carrier) as network:
        network.phone(HUMAN, Busy())
        caller = network.rings(caller=CALLER)
        await caller.hears("Hello.")
        await caller.says("My soup is cold.")
        await caller.hears("I will ask the kitchen.")
        await caller.waits(1)
        await call_lab.call.transfer(HUMAN)
        await caller.hears("Nobody could take your call.")
        await caller.says("What now?")
        await caller.hears("They had soup for you.")
        await caller.hangs_up()
    asked = [(message.role, message.content) for message in call_lab.llm.requests[-1] if message.role != "system"]
    assert asked == [
        ("assistant", "Hello."),
        ("user", "My soup is cold."),
        ("assistant", "I will ask the kitchen. Nobody could take your call."),
        ("user", "What now?"),
    ]


async def test_a_number_that_is_not_on_the_list_is_refused_and_the_call_goes_on(call_lab, carrier):
    """A53, R71: the list is empty unless somebody fills it."""

    async def story(call):
        for number in (STRANGER, "sip:premium@example.com"):
            with pytest.raises(NotAllowed):
                await call.transfer(number)
            with pytest.raises(NotAllowed):
                await call.transfer_warm(number, briefing="Somebody calls.")
            with pytest.raises(NotAllowed):
                await call.send_message("Hello", to=number)
        await call.say("I cannot do that.")
        await call.listen()

    async with call_lab.network(story, carrier=carrier) as network:
        caller = network.rings(caller=CALLER)
        await caller.hears("I cannot do that.")
        asked = [request for request in network.cloud.requests if "answer" not in request.path]
        assert not asked
        await caller.hangs_up()


async def test_a_carrier_that_will_not_transfer_leaves_the_caller_where_he_is(call_lab):
    async def story(call):
        with pytest.raises(CarrierError):
            await call.transfer(HUMAN)
        await call.say("That did not work.")
        await call.listen()

    async with call_lab.network(story, agent=DESK) as network:
        network.cloud.fault(status=400, path="/Calls/")
        caller = network.rings(caller=CALLER)
        await caller.hears("That did not work.")
        await caller.hangs_up()


# --- warm ---------------------------------------------------------------------------------------------------------


async def warm(call):
    await call.say("Please hold.")
    await call.transfer_warm(HUMAN, briefing="Somebody wants to complain about his soup.")


@pytest.mark.parametrize("accepts", ["says", "presses"])
async def test_a_human_is_briefed_accepts_and_is_joined_with_the_caller(call_lab, carrier, accepts):
    async with call_lab.network(warm, carrier=carrier, agent=DESK, **FAST) as network:
        network.phone(HUMAN, Answers(after=3))
        caller = network.rings(caller=CALLER)
        await caller.hears("Please hold.")
        human = await network.answered(HUMAN)
        await human.hears("complain about his soup. Will you take the call?")
        await human.hears("press one.")
        if accepts == "says":
            await human.says("Yes, please.")
        else:
            await human.presses("1")
        await human.hears("putting you through")
        await human.waits(1)
        await human.says("What about the soup?")
        await caller.hears("What about the soup?")
        await caller.says("It is cold.")
        await human.hears("It is cold.")
        assert not network.engine.calls
        await caller.hangs_up()
        await human.is_hung_up_on()
    outcomes = {outcome.reason for outcome in call_lab.outcomes}
    assert outcomes == {"joined with •••0102", "joined with the caller"}
    assert all(outcome.ended_by == "agent" for outcome in call_lab.outcomes)
    call_lab.assert_nothing_left()


@pytest.mark.parametrize(
    ("phone", "result"), [(Busy(), "busy"), (RingsOut(), "no answer"), (Declines(), ("refused", "busy"))]
)
async def test_where_nobody_answers_the_caller_is_taken_back_off_hold(call_lab, carrier, phone, result):
    raised = []

    async def story(call):
        with pytest.raises(TransferFailed) as caught:
            await call.transfer_warm(HUMAN, briefing="Somebody calls.", timeout=10)
        raised.append(caught.value.result)
        await call.say("Nobody is there, I am sorry.")
        await call.listen()

    async with call_lab.network(story, carrier=carrier, agent=DESK, **FAST) as network:
        network.phone(HUMAN, phone)
        caller = network.rings(caller=CALLER)
        await caller.hears("Nobody is there, I am sorry.")
        await caller.says("Never mind.")
        await trio.sleep(1)

    assert raised[0] == result or raised[0] in result
    assert call_lab.calls[0].outcome.turns[-1].caller == "Never mind."
    call_lab.assert_nothing_left()


async def test_a_human_who_declines_is_let_go(call_lab, carrier):
    async def story(call):
        with pytest.raises(TransferFailed, match="declined"):
            await call.transfer_warm(HUMAN, briefing="Somebody calls.")
        await call.say("She has no time.")
        await call.listen()

    async with call_lab.network(story, carrier=carrier, agent=DESK, **FAST) as network:
        network.phone(HUMAN, Answers())
        caller = network.rings(caller=CALLER)
        human = await network.answered(HUMAN)
        await human.hears("press one.")
        await human.says("No, I cannot.")
        await caller.hears("She has no time.")
        await human.is_hung_up_on()
        await caller.hangs_up()


async def test_a_human_who_says_nothing_is_asked_three_times_and_let_go(call_lab):
    async def story(call):
        with pytest.raises(TransferFailed, match="declined"):
            await call.transfer_warm(HUMAN, briefing="Somebody calls.")
        await call.say("Nobody speaks there.")
        await call.listen()

    async with call_lab.network(story, agent=DESK, **FAST) as network:
        network.phone(HUMAN, Answers())
        caller = network.rings(caller=CALLER)
        human = await network.answered(HUMAN)
        await caller.hears("Nobody speaks there.", timeout=90)
        assert human.heard.count("Will you take the call?") == 3
        await caller.hangs_up()


async def test_a_caller_who_hangs_up_on_hold_leaves_nobody_ringing(call_lab, carrier):
    ended = []

    async def story(call):
        with pytest.raises(CallEnded) as caught:
            await call.transfer_warm(HUMAN, briefing="Somebody calls.")
        ended.append(caught.value.outcome.ended_by)

    async with call_lab.network(story, carrier=carrier, agent=DESK, **FAST) as network:
        network.phone(HUMAN, RingsOut())
        caller = network.rings(caller=CALLER)
        leg = await network.ringing(HUMAN)
        await trio.sleep(1)
        await caller.hangs_up()
        with trio.fail_after(8):
            await leg.over.wait()

    assert ended == ["caller"]
    call_lab.assert_nothing_left()


async def test_a_human_who_accepted_is_told_that_the_caller_is_gone(call_lab):
    async with call_lab.network(warm, agent=DESK, **FAST) as network:
        network.phone(HUMAN, Answers())
        network.cloud.fault(path="/Calls/", method="POST", delay=5.0)
        caller = network.rings(caller=CALLER)
        human = await network.answered(HUMAN)
        await human.hears("press one.")
        await human.presses("1")
        await trio.sleep(1)
        await caller.hangs_up()
        await human.hears("the caller has hung up", timeout=30)
        await human.is_hung_up_on()
    call_lab.assert_nothing_left()


# --- hold ---------------------------------------------------------------------------------------------------------


async def test_on_hold_a_caller_hears_music_and_his_words_are_kept(call_lab):
    turns = []

    async def story(call):
        async with call.on_hold():
            await trio.sleep(10)
        await call.say("I am back.")
        turns.append(await call.listen(timeout=1))

    async with call_lab.dial(story) as caller:
        await caller.waits(2)
        await caller.says("Are you there?")
        await caller.waits(3)
        tones = caller.leg.queue.played_audio(trio.current_time())
        assert len(tones) >= 4 * 8000
        assert len(set(tones[:5600])) > 20  # two notes
        await caller.hears("I am back.")
    assert turns[0].text == "Are you there?"
    notes = [record.data["on"] for record in call_lab.call.journal.of("hold")]
    assert notes == [True, False]
    call_lab.assert_nothing_left()


async def test_hold_ends_at_once_and_its_own_music_is_played(call_lab):
    music = attrs.evolve(hold_tones(), samples=hold_tones().samples // 2)

    async def story(call):
        call.hold(music)
        await trio.sleep(5)
        call.unhold()
        call.unhold()
        await trio.sleep(5)

    async with call_lab.dial(story, agent=Agent(hold_music=Clip(hold_tones().samples, 8000))) as caller:
        await caller.waits(5.5)
        heard = len(caller.leg.queue.played_audio(trio.current_time()))
        await caller.waits(3)
        assert len(caller.leg.queue.played_audio(trio.current_time())) == heard
        assert heard <= 5.2 * 8000


async def test_the_agent_s_own_music_is_played_where_none_is_given(call_lab):
    loud = Clip(np.full(8000, 16000, np.int16), 8000)

    async def story(call):
        call.hold()
        await trio.sleep(5)

    async with call_lab.dial(story, agent=Agent(hold_music=loud)) as caller:
        await caller.waits(3)
        heard = to_pcm(caller.leg.queue.played_audio(trio.current_time()), "mulaw")
        assert np.median(heard) > 15000


async def test_a_human_hears_the_agent_s_own_words(call_lab):
    agent = attrs.evolve(DESK, transfer_question="Now?", transfer_accepted="Here he comes.", caller_gone="Gone he is.")
    async with call_lab.network(warm, agent=agent, **FAST) as network:
        network.phone(HUMAN, Answers())
        network.cloud.fault(path="/Calls/", method="POST", delay=5.0)
        caller = network.rings(caller=CALLER)
        human = await network.answered(HUMAN)
        await human.hears("his soup. Now?")
        await human.presses("1")
        await human.hears("Here he comes.")
        await caller.hangs_up()
        with trio.fail_after(60):
            await human.leg.over.wait()
        assert "Gone he is." in f"{network.cloud.said} {human.heard}"


@pytest.mark.parametrize("kind", ["cold", "warm", "refer"])
async def test_a_carrier_that_cannot_says_so(call_lab, kind: TransferKind):
    async def story(call):
        hand_over = {
            "cold": partial(call.transfer, HUMAN),
            "warm": partial(call.transfer_warm, HUMAN, briefing="x"),
            "refer": partial(call.refer, "sip:desk@example.com"),
        }[kind]
        with pytest.raises(NotSupported, match="audiosocket"):
            await hand_over()
        assert kind not in call.capabilities.transfers
        await call.say("No.")

    agent = Agent(may_reach=(HUMAN, "sip:desk@example.com"))
    async with call_lab.dial(story, agent=agent, carrier="audiosocket") as caller:
        await caller.hears("No.")
