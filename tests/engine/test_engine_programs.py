"""What a call that comes in runs: the engine's own program, a number's, or what the application decides."""

from __future__ import annotations

import attrs
import pytest
import trio

from callengine import Agent, ConfigurationError, Engine, IncomingCall, Plivo, Refuse, Telnyx, Twilio
from callengine.testing.accounts import SENDER
from callengine.testing.clouds import Answers
from callengine.testing.lab import CallLab

CALLER, OTHER, SALES = "+15005550101", "+15005550102", "+15005550007"
HELLO = Agent(greeting="Hello there.")


@pytest.fixture(params=["twilio", "telnyx", "plivo"])
def carrier(request: pytest.FixtureRequest) -> str:
    """Twilio and Plivo read in the answer to their webhook what to do, Telnyx is told by a command."""
    return request.param


def agent(lab: CallLab, greeting: str, **settings: object) -> Agent:
    """An agent with the lab's parts, which engines give to their own agents only."""
    return Agent(greeting=greeting, stt=lab.stt, llm=lab.llm, tts=lab.tts, aec="off", **settings)


# --- a program for each number ----------------------------------------------------------------------------------------


async def test_each_number_has_its_own_program(call_lab, carrier):
    async def story(call):
        await call.say("A story.")

    table = {"+1 (500) 555-0007": agent(call_lab, "Sales here."), OTHER: story}
    async with call_lab.network(HELLO, carrier=carrier, agents=table) as network:
        for number in (SALES, OTHER):
            network.cloud.own(number)
        network.cloud.point_at(f"https://voice.example.com/{carrier}")

        await network.rings(SALES).hears("Sales here.")
        await network.rings(OTHER).hears("A story.")
        await network.rings(SENDER).hears("Hello there.")
    assert [call.callee for call in call_lab.calls] == [SALES, OTHER, SENDER]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"0800 SALES": HELLO}, "E.164"),
        ({SALES: Agent()}, "prompt, a flow or a greeting"),
        ({SALES: lambda: None}, "one argument"),
        ({SALES: 7}, "one argument"),
    ],
)
def test_a_table_that_cannot_be_is_said_when_the_engine_is_made(table, words):
    with pytest.raises(ConfigurationError, match=words):
        Engine(HELLO, agents=table)


@pytest.mark.parametrize("caller", ["anonymous", "sip:anna@pbx.example.com"])
async def test_a_caller_without_a_number_gets_the_number_s_program(call_lab, carrier, caller):
    async with call_lab.network(HELLO, carrier=carrier, agents={SENDER: agent(call_lab, "Sales here.")}) as network:
        await network.rings(caller=caller).hears("Sales here.")
    assert call_lab.call.caller == caller


# --- the application decides ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_the_router_decides_before_the_table(call_lab, carrier, kind):
    asked: list[IncomingCall] = []

    async def story(call):
        await call.say("A story.")

    def decide(call: IncomingCall):
        asked.append(call)
        return {CALLER: agent(call_lab, "Welcome back."), OTHER: story}.get(call.caller)

    async def later(call: IncomingCall):
        await trio.sleep(3)
        return decide(call)

    options = {"router": decide if kind == "plain" else later, "agents": {SENDER: agent(call_lab, "Sales here.")}}
    async with call_lab.network(HELLO, carrier=carrier, **options) as network:
        at = await network.rings(caller=CALLER).hears("Welcome back.")
        await network.rings(caller=OTHER).hears("A story.")
        await network.rings(caller="anonymous").hears("Sales here.")
    assert (at > 3) == (kind == "async")
    assert [(call.caller, call.callee) for call in asked] == [(CALLER, SENDER), (OTHER, SENDER), ("anonymous", SENDER)]
    assert len({call.call_id for call in asked}) == 3
    assert all(call.parameters for call in asked)  # whatever else the carrier says


async def test_a_router_s_story_has_the_parts_of_the_engine_s_agent(call_lab):
    async def story(call):
        await call.say(call.agent.goodbye)

    async with call_lab.network(attrs.evolve(HELLO, goodbye="Farewell."), router=lambda _: story) as network:
        await network.rings().hears("Farewell.")


async def test_a_call_that_the_router_refuses_hears_why(call_lab, carrier):
    async with call_lab.network(HELLO, carrier=carrier, router=lambda _: Refuse("We are closed.")) as network:
        caller = network.rings(caller=CALLER)
        await caller.hears("We are closed.")
        await caller.is_hung_up_on()
    assert not call_lab.calls
    assert call_lab.stt.opened == 0


async def test_a_call_that_is_refused_without_a_word_hears_busy(call_lab, carrier):
    async with call_lab.network(HELLO, carrier=carrier, router=lambda _: Refuse()) as network:
        caller = network.rings(caller=CALLER)
        await caller.is_hung_up_on(timeout=2)
        leg = network.cloud.legs[0]
    assert not leg.answered.is_set()
    assert leg.ending.progress == "busy"
    assert not call_lab.calls


@pytest.mark.parametrize("wrong", ["raises", "returns a number", "returns an agent without a voice"])
async def test_a_router_that_fails_is_logged_and_the_caller_hears_of_it(call_lab, carrier, wrong, caplog):
    def router(call: IncomingCall):
        if wrong == "raises":
            raise KeyError("no such customer")
        return 7 if wrong == "returns a number" else Agent(greeting="Guten Tag.", language="de")

    async with call_lab.network(HELLO, carrier=carrier, router=router) as network:
        caller = network.rings(caller=CALLER)
        await caller.hears("we cannot take your call right now")
        await caller.is_hung_up_on()
    assert not call_lab.calls
    (record,) = [record for record in caplog.records if "nobody could decide" in record.message]
    assert record.exc_info is not None
    assert CALLER not in record.getMessage()


async def test_a_router_that_is_too_slow_does_not_let_the_caller_wait(call_lab, carrier):
    abandoned = []

    async def router(call: IncomingCall):
        try:
            await trio.sleep(60)
        except trio.Cancelled:
            abandoned.append(trio.current_time())
            raise

    async with call_lab.network(HELLO, carrier=carrier, router=router) as network:
        caller = network.rings(caller=CALLER)
        await caller.is_hung_up_on(timeout=30)
        assert trio.current_time() < 15
        network.cloud.mistakes.clear()  # that the webhook was answered 503
    assert abandoned[0] == pytest.approx(10.05, abs=0.05)
    assert not call_lab.calls


async def test_a_router_does_not_hold_up_others(call_lab, carrier):
    async def router(call: IncomingCall):
        await trio.sleep(8 if call.caller == CALLER else 0)

    async with call_lab.network(HELLO, carrier=carrier, router=router) as network:
        slow, quick = network.rings(caller=CALLER), network.rings(caller=OTHER)
        assert await quick.hears("Hello there.") < 2
        assert await slow.hears("Hello there.") > 8


# --- parts ------------------------------------------------------------------------------------------------------------


class SlowDetector:
    """A turn detector that takes three seconds to load, and then finds nothing."""

    def __init__(self) -> None:
        self.loads: list[float] = []

    async def load(self, *, inline: bool = False) -> None:
        assert inline  # the virtual clock does not wait for threads
        self.loads.append(trio.current_time())
        await trio.sleep(3)


async def test_what_a_router_s_agent_needs_is_loaded_before_the_call_and_once(call_lab, carrier):
    detector = SlowDetector()
    slow = agent(call_lab, "I am here.", turn_detector=detector)
    async with call_lab.network(HELLO, carrier=carrier, router=lambda _: slow) as network:
        first = network.rings(caller=CALLER)
        heard = await first.hears("I am here.")
        leg = network.cloud.legs[0]
        await network.rings(caller=OTHER).hears("I am here.")
        again = trio.current_time()
    assert len(detector.loads) == 1
    assert leg.since("answered") >= detector.loads[0] + 3  # and nobody pays for silence
    assert heard < 6
    assert again < heard + 2


async def test_what_the_table_s_agents_need_is_loaded_before_any_call(call_lab):
    detector = SlowDetector()
    slow = agent(call_lab, "I am here.", turn_detector=detector)
    async with call_lab.network(HELLO, agents={SENDER: slow}) as network:
        assert detector.loads == [0.0]
        started = trio.current_time()
        assert await network.rings().hears("I am here.") < started + 2


# --- how many, from where, with what ----------------------------------------------------------------------------------


async def test_more_callers_than_allowed_hear_that_all_lines_are_busy(call_lab, carrier):
    async with call_lab.network(HELLO, carrier=carrier, max_calls=1) as network:
        first = network.rings(caller=CALLER)
        await first.hears("Hello there.")
        second = network.rings(caller=OTHER)
        await second.hears("All our lines are busy.")
        await second.is_hung_up_on()
        await first.hangs_up()
        await trio.sleep(1)
        await network.rings(caller=OTHER).hears("Hello there.")
    assert [call.caller for call in call_lab.calls] == [CALLER, OTHER]


@pytest.mark.parametrize("decides", [0, 2])
async def test_callers_who_come_at_the_same_moment_count_too(call_lab, carrier, decides):
    async def router(call: IncomingCall):
        await trio.sleep(decides)

    async with call_lab.network(HELLO, carrier=carrier, router=router, max_calls=2) as network:
        callers = [network.rings(caller=f"+1500555010{number}") for number in range(4)]
        await trio.sleep(20)
        heard = sorted(caller.heard for caller in callers)
    assert len(call_lab.calls) == 2
    assert [words.split()[0] for words in heard] == ["All", "All", "Hello", "Hello"]


async def test_a_caller_who_gave_up_before_he_was_connected_takes_no_place(call_lab):
    async with call_lab.network(HELLO, max_calls=1) as network:
        # given one who hangs up while the answer to his webhook is on its way
        network.cloud.settings = attrs.evolve(network.cloud.settings, delay=2.0)
        first = network.rings(caller=CALLER)
        await trio.sleep(0.06)
        first.leg.hang_up()
        await trio.sleep(1)

        # then the next one is let in
        await network.rings(caller=OTHER).hears("Hello there.")


async def test_dialled_calls_are_within_the_limit_of_all(call_lab):
    async with call_lab.network(HELLO, max_calls=1, dials_per_second=10.0) as network:
        for number in (CALLER, OTHER):
            network.phone(number, Answers())
        first, second = [await network.engine.dial(number) for number in (CALLER, OTHER)]
        person = await network.answered(CALLER)
        await person.waits(5)
        assert len(network.cloud.legs) == 1
        await person.hangs_up()
        await (await network.answered(OTHER)).hears("Hello there.")
        second.hang_up()
        await second.wait()
    assert (first.outcome.result, second.outcome.result) == ("answered", "answered")


KEYS = {
    "TWILIO_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
    "TELNYX_PUBLIC_KEY": "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
    "TELNYX_API_KEY": "KEY0123456789ABCDEF0123456789ABCDEF",
    "PLIVO_AUTH_ID": "MA0123456789ABCDEF01",
    "PLIVO_AUTH_TOKEN": "0123456789abcdefghijklmnopqrstuvwxyzABCD",
}


@pytest.mark.parametrize(
    ("prefixes", "names"),
    [
        (("TWILIO",), ["twilio"]),
        (("TELNYX",), ["telnyx"]),
        (("PLIVO",), ["plivo"]),
        (("TWILIO", "TELNYX", "PLIVO"), ["twilio", "telnyx", "plivo"]),
        (("PLIVO_AUTH_ID",), ["twilio"]),
        ((), ["twilio"]),
    ],
)
def test_carriers_are_those_that_the_environment_has_keys_for(monkeypatch, prefixes, names):
    for name, value in KEYS.items():
        if name.startswith(prefixes or ("none",)):
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name, raising=False)
    assert list(Engine(HELLO).carriers) == names


def test_carriers_that_are_named_are_those(monkeypatch):
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", KEYS["TWILIO_AUTH_TOKEN"])
    assert list(Engine(HELLO, carriers=[Plivo(), Telnyx()]).carriers) == ["plivo", "telnyx"]
    assert list(Engine(HELLO, carriers=[Twilio()]).carriers) == ["twilio"]


async def test_parameters_of_a_dial_are_those_of_its_call(call_lab, carrier):
    seen = []

    async def story(call):
        seen.append(dict(call.parameters))
        await call.say("Hello.")

    own = {"appointment": '12 § 3; "x" & <y>\nz', "name": "Zoë"}
    async with call_lab.network(story, carrier=carrier) as network:
        network.phone(CALLER, Answers())
        call = await network.engine.dial(CALLER, parameters=own)
        await call.wait()
        written = str([(request.path, dict(request.fields)) for request in network.cloud.requests])
    assert seen[0].items() >= own.items()
    assert "appointment" not in written  # they stay here: no carrier needs to know them


async def test_two_dials_have_their_own_parameters(call_lab):
    async def story(call):
        await call.say(f"Hello {call.parameters['name']}.")

    async with call_lab.network(story, dials_per_second=10.0) as network:
        for number in (CALLER, OTHER):
            network.phone(number, Answers())
        await network.engine.dial(CALLER, parameters={"name": "Anna"})
        await network.engine.dial(OTHER, parameters={"name": "Bob"})
        await (await network.answered(OTHER)).hears("Hello Bob.")
        await (await network.answered(CALLER)).hears("Hello Anna.")
