"""What is made ready while a telephone rings: whole calls, both ways, through a simulated carrier, in virtual time."""

from __future__ import annotations

import math

import attrs
import pytest
import trio

from callengine import Agent, ConfigurationError
from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.carriers.plivo import Plivo
from callengine.carriers.telnyx import Telnyx
from callengine.carriers.twilio import Twilio
from callengine.providers.stt.deepgram import Deepgram
from callengine.providers.tts.cartesia import Cartesia
from callengine.testing.clouds import Answers, Busy, Declines, Machine, RingsOut, Unreachable
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.cartesia import FakeCartesia
from callengine.testing.vendors.deepgram import FakeDeepgram

PERSON, OTHER = "+15005550101", "+15005550102"
HELLO = "Hello, this is Chez Trio. How can I help you?"
COLD = 0.7
CARRIERS = ["twilio", "signalwire", "telnyx", "plivo"]


@pytest.fixture(params=CARRIERS)
def carrier(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def cold(call_lab):
    """The lab, with providers that take 0.7 s to connect to, and may be kept connected."""
    for provider in (call_lab.stt, call_lab.tts, call_lab.llm):
        provider.open_delay, provider.idle_limit = COLD, math.inf
    return call_lab


def silence_before_greeting(call) -> float:
    """Seconds from the start of the media stream to the first audio on the wire."""
    return next(record.t for record in call.journal.of("media.sent"))


async def rings_a_while(network, caller, seconds=2.0):
    """Somebody calls, and his media stream comes so long after the answer to the webhook."""
    connect = network.cloud.reach.connect

    async def later(*arguments):
        await trio.sleep(seconds)
        return await connect(*arguments)

    network.cloud.reach.connect = later
    return network.rings(caller=caller)


# --- how soon the agent is heard ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "least", "most"),
    [
        ({"prewarm": True, "prewarm_greeting": True}, 0.0, 0.04),
        ({"prewarm": True}, 0.1, 0.14),
        ({"prewarm": False}, COLD + 0.1, COLD + 0.14),
    ],
)
@pytest.mark.parametrize("direction", ["inbound", "outbound"])
async def test_how_soon_the_greeting_is_heard(cold, carrier, direction, settings, least, most):
    cold.llm.replies("We do.")
    async with cold.network(Agent(greeting=HELLO, **settings), carrier=carrier) as network:
        if direction == "outbound":
            network.phone(PERSON, Answers(after=3))
            await network.engine.dial(PERSON)
            person = await network.answered(PERSON)
        else:
            person = await rings_a_while(network, OTHER)
        await person.hears("How can I help you?")
        await person.says("Do you have a table?")
        await person.hears("We do.")
        await person.hangs_up()
        await network.settle()

    assert least - 1e-6 <= silence_before_greeting(cold.call) <= most
    turns = cold.call.outcome.turns
    assert (turns[0].said, turns[0].heard, turns[0].complete) == (HELLO, HELLO, True)
    assert turns[1].caller == "Do you have a table?"
    assert cold.tts.spoken == ["Hello, this is Chez Trio.", "How can I help you?", "We do."]
    assert (cold.stt.opened, cold.tts.opened, cold.llm.opened) == (1, 1, 1)
    cold.assert_nothing_left()


async def test_what_the_caller_heard_of_a_prewarmed_greeting_is_known_to_the_word(cold):
    """R48: it is cut in the middle, like any other."""
    cold.tts.word_times = True
    cold.llm.replies("Yes?")
    async with cold.network(Agent(greeting=HELLO, prewarm_greeting=True)) as network:
        network.phone(PERSON, Answers(after=3))
        await network.engine.dial(PERSON)
        person = await network.answered(PERSON)
        await person.hears("this is Chez")
        await person.says("Excuse me, I have a question.")
        await person.hears("Yes?")
        await person.hangs_up()
        await network.settle()

    turn = cold.call.outcome.turns[0]
    assert turn.interrupted_by == "caller"
    assert turn.said.startswith(turn.heard)
    assert "Chez" in turn.heard
    assert len(turn.heard) < len(HELLO)
    assert person.heard.startswith(turn.heard)
    cold.assert_nothing_left()


async def test_a_story_has_its_connections_ready_and_no_greeting_of_an_agent(cold):
    """R46."""

    async def story(call):
        await call.say("Good morning.")
        await call.hang_up()

    agent = Agent(greeting=HELLO, prewarm_greeting=True)
    async with cold.network(story, agent=agent) as network:
        network.phone(PERSON, Answers(after=3))
        outcome = await (await network.engine.dial(PERSON)).wait()

    assert outcome.answered
    assert silence_before_greeting(cold.call) == pytest.approx(0.1, abs=0.02)
    assert cold.tts.spoken == ["Good morning."]
    assert cold.llm.opened == 0
    cold.assert_nothing_left()


# --- calls that come to nothing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phone", "result"),
    [
        (RingsOut(), "no answer"),
        (Busy(after=4), "busy"),
        (Declines(), "refused"),
        (Unreachable(), "failed"),
    ],
)
async def test_nothing_stays_of_a_call_that_nobody_takes(cold, carrier, phone, result):
    """A41, R43, R45: and what was spoken for nobody is counted."""
    agent = Agent(greeting=HELLO, prewarm_greeting=True)
    async with cold.network(agent, carrier=carrier) as network:
        network.phone(PERSON, phone)
        outcome = await (await network.engine.dial(PERSON, ring_timeout=10)).wait()

        assert (cold.stt.sessions, cold.tts.sessions, cold.llm.sessions, cold.tts.streams) == (0, 0, 0, 0)
        assert outcome.result == result
        assert outcome.wasted_characters == sum(len(text) for text in cold.tts.spoken)
        assert network.engine.prewarming.wasted_characters == outcome.wasted_characters
        assert sum(line.characters for line in outcome.costs.wasted) == outcome.wasted_characters
        assert outcome.costs.all == outcome.costs.wasted
        assert network.engine.prewarming.greetings == 0
        if result in ("no answer", "busy"):
            assert outcome.wasted_characters == len(HELLO) - 1


async def test_a_machine_that_is_hung_up_on_heard_nothing_in_vain(cold, carrier):
    """A41: the greeting was played to it."""
    async with cold.network(Agent(greeting=HELLO, prewarm_greeting=True), carrier=carrier) as network:
        network.phone(PERSON, Machine(greeting="We are not at home, " * 8))
        outcome = await (await network.engine.dial(PERSON, amd=True)).wait()

    assert (outcome.result, outcome.wasted_characters) == ("voicemail", 0)
    cold.assert_nothing_left()


@pytest.mark.parametrize("after", [0.05, 0.4, 0.7, 1.0, 1.1, 1.3, 2.0, 3.0, 3.3, 3.4])
async def test_hanging_up_at_any_time_leaves_nothing(cold, after):
    """A41, R45: canceled, whatever was being opened."""
    async with cold.network(Agent(greeting=HELLO, prewarm_greeting=True)) as network:
        network.phone(PERSON, Answers(after=3))
        call = await network.engine.dial(PERSON)
        await trio.sleep(after)
        call.hang_up()
        outcome = await call.wait()

        assert outcome.result in ("canceled", "answered")
        assert (cold.stt.sessions, cold.tts.sessions, cold.llm.sessions, cold.tts.streams) == (0, 0, 0, 0)


async def test_a_dial_that_the_carrier_refuses_opens_nothing(cold):
    async with cold.network(Agent(greeting=HELLO, prewarm_greeting=True)) as network:
        network.cloud.fault(status=400, method="POST", times=10)
        outcome = await (await network.engine.dial(PERSON)).wait()

    assert outcome.result == "failed"
    assert (cold.stt.opened, cold.tts.opened, cold.llm.opened) == (0, 0, 0)


async def test_the_greeting_is_not_synthesised_ahead_unless_asked_for(cold):
    async with cold.network(Agent(greeting=HELLO)) as network:
        network.phone(PERSON, RingsOut())
        outcome = await (await network.engine.dial(PERSON, ring_timeout=10)).wait()

    assert (outcome.wasted_characters, cold.tts.spoken, cold.tts.opened) == (0, [], 1)


async def test_providers_that_may_not_wait_are_not_opened_while_it_rings(cold):
    for provider in (cold.stt, cold.tts, cold.llm):
        provider.idle_limit = 0.0
    async with cold.network(Agent(greeting=HELLO)) as network:
        network.phone(PERSON, RingsOut())
        await (await network.engine.dial(PERSON, ring_timeout=10)).wait()

    assert (cold.stt.opened, cold.tts.opened, cold.llm.opened) == (0, 0, 0)


async def test_a_caller_who_hangs_up_before_his_stream_comes_leaves_nothing(cold, carrier):
    """R45: inbound; his stream never comes."""
    async with cold.network(Agent(greeting=HELLO, prewarm_greeting=True), carrier=carrier) as network:
        caller = await rings_a_while(network, OTHER, 20.0)
        await trio.sleep(3)
        assert (cold.stt.sessions, cold.tts.sessions) == (1, 1)
        await caller.hangs_up()
        await trio.sleep(1)

        assert (cold.stt.sessions, cold.tts.sessions, cold.llm.sessions) == (0, 0, 0)
        assert network.engine.prewarming.wasted_characters == len(HELLO) - 1


async def test_a_stream_that_never_comes_is_waited_for_no_longer_than_its_token(cold):
    """R43: nothing is kept for a carrier that says no more of a call."""
    async with cold.network(Agent(greeting=HELLO, prewarm_greeting=True)) as network:
        await rings_a_while(network, OTHER, math.inf)
        await trio.sleep(64)
        assert cold.stt.sessions == 1
        await trio.sleep(2)

        assert (cold.stt.sessions, cold.tts.sessions, cold.llm.sessions) == (0, 0, 0)


@pytest.mark.parametrize("how", ["drain", "stop"])
@pytest.mark.parametrize("direction", ["inbound", "outbound"])
async def test_an_engine_that_goes_away_closes_what_waits(cold, how, direction):
    """A41: shutdown."""
    async with cold.network(Agent(greeting=HELLO, prewarm_greeting=True)) as network:
        if direction == "outbound":
            network.phone(PERSON, RingsOut())
            await network.engine.dial(PERSON)
        else:
            await rings_a_while(network, OTHER, math.inf)
        await trio.sleep(3)
        assert (cold.stt.sessions, cold.tts.sessions) == (1, 1)
        if how == "drain":
            with trio.move_on_after(2):
                await network.engine.drain()
            await trio.sleep(0.1)
            assert (cold.stt.sessions, cold.tts.sessions, cold.llm.sessions) == (0, 0, 0)
    assert (cold.stt.sessions, cold.tts.sessions, cold.llm.sessions) == (0, 0, 0)


# --- calls that need more than was ready --------------------------------------------------------------------------


@pytest.mark.parametrize("answered", [0.3, 0.5, 0.8, 0.9, 1.0, 1.2])
async def test_answered_before_all_is_ready_the_greeting_is_whole_all_the_same(cold, answered):
    """A42."""
    async with cold.network(Agent(greeting=HELLO, prewarm_greeting=True)) as network:
        network.phone(PERSON, Answers(after=answered))
        call = await network.engine.dial(PERSON)
        person = await network.answered(PERSON)
        await person.hears("How can I help you?")
        await person.hangs_up()
        outcome = await call.wait()

    assert person.heard == HELLO
    assert silence_before_greeting(cold.call) <= COLD + 0.1
    assert outcome.call.turns[0].heard == HELLO
    assert outcome.wasted_characters == 0
    cold.assert_nothing_left()


async def test_a_greeting_that_comes_too_late_is_dropped_and_counted(cold):
    """A42, R44."""
    cold.tts.first_audio = 60.0
    async with cold.network(Agent(greeting=HELLO, prewarm_greeting=True)) as network:
        network.phone(PERSON, Answers(after=3))
        call = await network.engine.dial(PERSON)
        await trio.sleep(2.5)
        cold.tts.first_audio = 0.1
        person = await network.answered(PERSON)
        await person.hears("How can I help you?")
        await person.hangs_up()
        outcome = await call.wait()

    assert person.heard == HELLO
    assert silence_before_greeting(cold.call) == pytest.approx(0.4, abs=0.02)
    assert outcome.wasted_characters == len("Hello, this is Chez Trio.")
    assert [line.characters for line in outcome.costs.wasted] == [outcome.wasted_characters]
    assert sum(line.characters for line in outcome.costs.all) == sum(len(text) for text in cold.tts.spoken)
    assert outcome.costs == outcome.call.costs
    cold.assert_nothing_left()


async def test_one_greeting_too_many_is_refused_and_its_call_works(cold):
    """A43, R47."""
    async with cold.network(Agent(greeting=HELLO, prewarm_greeting=True), dials_per_second=math.inf) as network:
        network.engine.prewarming.max_greetings = 1
        network.phone(PERSON, Answers(after=3))
        network.phone(OTHER, Answers(after=3))
        calls = [await network.engine.dial(number) for number in (PERSON, OTHER)]
        people = [await network.answered(number) for number in (PERSON, OTHER)]
        for person in people:
            await person.hears("How can I help you?")
            await person.hangs_up()
        for call in calls:
            await call.wait()

    assert network.engine.prewarming.refused == 1
    assert sorted(silence_before_greeting(call) for call in cold.calls) == [
        pytest.approx(0.0, abs=0.02),
        pytest.approx(0.1, abs=0.02),
    ]
    cold.assert_nothing_left()


async def test_connections_that_died_while_it_rang_are_replaced(cold):
    """A44, R49: the call is not harmed."""
    cold.llm.replies("We do.")
    async with cold.network(Agent(greeting=HELLO)) as network:
        network.phone(PERSON, Answers(after=3))
        await network.engine.dial(PERSON)
        await trio.sleep(2)
        cold.stt.dies()
        person = await network.answered(PERSON)
        await person.hears("How can I help you?")
        await person.says("Do you have a table?")
        await person.hears("We do.")
        await person.hangs_up()
        await network.settle()

    assert cold.stt.opened == 2
    assert cold.call.outcome.turns[1].caller == "Do you have a table?"
    cold.assert_nothing_left()


async def test_connections_that_may_not_wait_so_long_are_replaced(cold):
    cold.stt.idle_limit = cold.tts.idle_limit = 10.0
    async with cold.network(Agent(greeting=HELLO, prewarm_greeting=True)) as network:
        network.phone(PERSON, Answers(after=20))
        await network.engine.dial(PERSON)
        await trio.sleep(15)
        assert (cold.stt.sessions, cold.tts.sessions) == (0, 0)
        person = await network.answered(PERSON)
        await person.hears("How can I help you?")
        await person.hangs_up()
        await network.settle()

    assert silence_before_greeting(cold.call) <= 0.04  # on record, though its connection is not kept
    assert (cold.stt.opened, cold.tts.opened) == (2, 2)
    cold.assert_nothing_left()


async def test_calls_of_one_agent_share_nothing(cold):
    """A45: side by side, and one after the other."""
    async with cold.network(Agent(greeting=HELLO, prewarm_greeting=True), dials_per_second=math.inf) as network:
        network.phone(PERSON, Answers(after=3))
        network.phone(OTHER, Answers(after=5))
        for _ in range(2):
            await network.engine.dial(PERSON)
            await network.engine.dial(OTHER)
            first = await network.answered(PERSON)
            await first.hears("How can I help you?")
            await first.hangs_up()
            second = await network.answered(OTHER)
            await second.hears("How can I help you?")
            assert second.heard == HELLO
            await second.hangs_up()
            await network.settle()

    assert [silence_before_greeting(call) <= 0.04 for call in cold.calls] == [True] * 4
    assert (cold.stt.opened, cold.tts.opened) == (4, 4)
    cold.assert_nothing_left()


@pytest.mark.parametrize("lost", [False, True])
async def test_real_adapters_are_connected_once_and_again_only_where_the_vendor_closed(call_lab, lost):
    """A44: over the vendors' own protocols."""
    ears, voice = FakeDeepgram(call_lab.vocabulary), FakeCartesia(call_lab.vocabulary)
    ears.faults.connect_delay = voice.faults.connect_delay = COLD
    call_lab.llm.replies("We do.")
    agent = Agent(
        greeting=HELLO, prewarm_greeting=True, stt=Deepgram(api_key=ears.key), tts=Cartesia(api_key=voice.key)
    )
    async with in_memory(ears, voice) as wire, call_lab.network(agent, wire=wire) as network:
        network.phone(PERSON, Answers(after=4))
        await network.engine.dial(PERSON)
        await trio.sleep(3)
        assert (ears.connections, voice.connections) == (1, 1)
        if lost:
            for vendor in (ears, voice):
                await vendor.close_all(1011, "going away")
        person = await network.answered(PERSON)
        await person.hears("How can I help you?")
        await person.says("Do you have a table?")
        await person.hears("We do.")
        await person.hangs_up()
        await network.settle()

        assert (ears.connections, voice.connections) == (0, 0)
    assert (ears.connected, voice.connected) == ((2, 2) if lost else (1, 1))
    assert silence_before_greeting(call_lab.call) == 0.0
    assert voice.spoken == ["Hello, this is Chez Trio.", "How can I help you?", "We do."]
    spent = [record.data["characters"] for record in call_lab.call.journal.of("usage") if record.data["role"] == "tts"]
    assert sum(spent) == sum(len(text) for text in voice.spoken)
    call_lab.assert_nothing_left()


@pytest.mark.parametrize(("expected", "opened"), [(AudioFormat("mulaw", 8000), 1), (AudioFormat("l16", 16000), 2)])
async def test_a_stream_of_another_kind_than_expected_gets_connections_of_its_own(cold, monkeypatch, expected, opened):
    capabilities = attrs.evolve(Twilio().capabilities, audio=expected)
    monkeypatch.setattr(Twilio, "capabilities", capabilities)
    async with cold.network(Agent(greeting=HELLO)) as network:
        network.phone(PERSON, Answers(after=3))
        await network.engine.dial(PERSON)
        person = await network.answered(PERSON)
        await person.hears("How can I help you?")
        await person.hangs_up()
        await network.settle()

    assert (cold.stt.opened, cold.tts.opened) == (opened, opened)
    cold.assert_nothing_left()


def test_what_a_stream_will_carry_is_known_from_the_carrier_s_recipe():
    assert Twilio().capabilities.audio == TELEPHONE
    assert Telnyx(stream_codec="PCMA").capabilities.audio == AudioFormat("alaw", 8000)
    assert Telnyx(stream_codec="L16").capabilities.audio == AudioFormat("l16", 16000)
    assert Plivo(content_type="audio/x-l16;rate=16000").capabilities.audio == AudioFormat("l16", 16000)


def test_a_greeting_ahead_needs_a_call_that_is_prepared():
    with pytest.raises(ConfigurationError, match="prewarm_greeting needs prewarm"):
        Agent(greeting=HELLO, prewarm=False, prewarm_greeting=True)
