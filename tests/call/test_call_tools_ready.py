"""The ready-made tools, in whole calls: ending, transferring, keys, messages."""

from __future__ import annotations

import logging
import math
from typing import Any

import attrs
import pytest
import trio

from callengine import Agent, Call
from callengine.brain.tools.results import CANCELLED
from callengine.ports import Message, ToolCall
from callengine.testing.clouds import Answers, Declines
from callengine.tools import (
    ToolError,
    end_call,
    press_keys,
    send_text_message,
    tool,
    transfer_call,
    transfer_call_warm,
)

GREETING = "Hello there."
QUESTION = "Is there a table for two?"
CALLER, HUMAN, STRANGER = "+15005550101", "+15005550102", "+15005550199"
EVERY = (end_call, press_keys, send_text_message, transfer_call, transfer_call_warm)
DESK = Agent(prompt="Be brief.", greeting=GREETING, thinking=(), tools=EVERY, may_reach=(HUMAN,))
FAST = {"dials_per_second": math.inf}


def wants(name: str, **arguments: Any) -> ToolCall:
    text = ", ".join(f'"{key}": "{value}"' for key, value in arguments.items())
    return ToolCall("1", name, f"{{{text}}}")


async def ask(caller) -> None:
    await caller.hears(GREETING)
    await caller.says(QUESTION)


def results(lab) -> list[Message]:
    return [message for message in lab.llm.requests[-1] if message.role == "tool"]


# --- ending the call ------------------------------------------------------------------------------------------------


async def test_the_goodbye_is_heard_out_before_the_call_ends(call_lab):
    """R35"""
    goodbye = "Thank you for calling, goodbye, and see you on Friday at eight."
    call_lab.llm.replies([goodbye, wants("end_call", reason="the table is booked")])
    async with call_lab.dial(DESK) as caller:
        await ask(caller)
        await caller.is_hung_up_on()
        assert caller.heard == f"{GREETING} {goodbye}"
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("agent", "the table is booked")
    assert outcome.turns[-1].complete
    (ended,) = call_lab.call.journal.of("tool.ended")
    assert ended.data["ok"]
    assert call_lab.call.counters["tools cancelled"] == 0
    call_lab.assert_nothing_left()


@pytest.mark.parametrize(
    ("arguments", "said"), [({"goodbye": "Bye, see you soon."}, "Bye, see you soon."), ({}, DESK.goodbye)]
)
async def test_a_model_that_has_not_said_goodbye_says_it_with_the_tool_or_the_agent_does(call_lab, arguments, said):
    call_lab.llm.replies([wants("end_call", **arguments)])
    async with call_lab.dial(DESK) as caller:
        await ask(caller)
        await caller.is_hung_up_on()
        assert caller.heard == f"{GREETING} {said}"
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("agent", "the conversation is over")
    (ended,) = call_lab.call.journal.of("tool.ended")
    assert ended.data["ok"]
    assert ended.data["seconds"] > 0.5  # it waits until that is said: nobody else speaks meanwhile
    assert len(call_lab.llm.requests) == 1


async def test_a_caller_who_interrupts_the_goodbye_is_not_hung_up_on(call_lab):
    call_lab.stt.interim_every = 0.1
    goodbye = "Thank you for calling, goodbye, and see you on Friday at eight."
    call_lab.llm.replies([goodbye, wants("end_call")], "For three, yes.")
    async with call_lab.dial(DESK) as caller:
        await ask(caller)
        await caller.hears("Thank you")
        await caller.says("Wait, we are three people.")
        await caller.hears("For three, yes.")
        await caller.waits(3)
        assert not caller.leg.over.is_set()
    assert results(call_lab) == [Message("tool", CANCELLED, tool_call_id="1", failed=True)]
    assert call_lab.call.journal.of("tool.started") == []


async def test_a_caller_who_interrupts_the_tool_s_goodbye_is_not_hung_up_on(call_lab):
    call_lab.stt.interim_every = 0.1
    goodbye = "Thank you for calling, goodbye, and see you on Friday at eight."
    call_lab.llm.replies([wants("end_call", goodbye=goodbye)], "Pardon?", "For three, yes.")
    async with call_lab.dial(DESK) as caller:
        await ask(caller)
        await caller.hears("Thank you")
        await caller.says("Wait, we are three people.")
        await caller.hears("For three, yes.")
    assert "the caller went on while you said goodbye" in results(call_lab)[0].content


async def test_nobody_is_hung_up_on_who_has_not_spoken(call_lab):
    errors = []

    async def story(call):
        await call.say(GREETING)
        try:
            await end_call(call)
        except ToolError as error:
            errors.append(str(error))
        await call.say("Is somebody there?")

    async with call_lab.dial(story) as caller:
        await caller.hears("somebody there?")
    assert errors == ["the caller has not said anything yet: wait for him"]


async def test_a_model_s_reason_is_one_short_line(call_lab):
    call_lab.llm.replies(["Goodbye.", wants("end_call", reason="call +12025550123 " + "again " * 30)])
    async with call_lab.dial(DESK) as caller:
        await ask(caller)
        await caller.is_hung_up_on()
    reason = call_lab.call.outcome.reason
    assert reason.startswith("call +•••0123 again")
    assert len(reason) == 80


# --- transferring ---------------------------------------------------------------------------------------------------


async def test_a_cold_transfer_comes_behind_the_agent_s_words(call_lab):
    """R35"""
    call_lab.llm.replies(["I am putting you through to our wedding planner.", wants("transfer_call", to=HUMAN)])
    async with call_lab.network(DESK, carrier="twilio") as network:
        network.phone(HUMAN, Answers(after=2))
        caller = network.rings(caller=CALLER)
        await ask(caller)
        await caller.hears("to our wedding planner.")
        human = await network.answered(HUMAN)
        await human.says("Weddings, hello.")
        await caller.hears("Weddings, hello.")
        await caller.hangs_up()
    outcome = call_lab.call.outcome
    assert (outcome.ended_by, outcome.reason) == ("agent", "transferred to •••0102")
    assert len(call_lab.llm.requests) == 1
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("name", ["transfer_call", "transfer_call_warm"])
async def test_a_number_that_is_not_on_the_list_is_refused_to_the_model_and_the_call_goes_on(call_lab, caplog, name):
    """A53"""
    caplog.set_level(logging.DEBUG)
    arguments = {"to": STRANGER} | ({} if name == "transfer_call" else {"briefing": "Somebody calls."})
    call_lab.llm.replies(["One moment.", wants(name, **arguments)], "I am sorry, I can not.")
    async with call_lab.network(DESK, carrier="twilio") as network:
        caller = network.rings(caller=CALLER)
        await ask(caller)
        await caller.hears("I am sorry, I can not.")
        await caller.waits(1)
        assert network.engine.calls
        await caller.hangs_up()
        assert len(network.cloud.legs) == 1
    assert results(call_lab)[0].content.startswith("Failed: nobody may be put through to there")
    assert results(call_lab)[0].failed
    assert call_lab.call.journal.of("transfer") == []
    assert "0199" not in caplog.text


@pytest.mark.parametrize("takes_it", [True, False])
async def test_a_warm_transfer_briefs_the_human_while_the_caller_waits(call_lab, takes_it):
    """R35"""
    call_lab.llm.replies(
        ["I will ask our planner.", wants("transfer_call_warm", to=HUMAN, briefing="A wedding for eighty.")],
        "Nobody is free, I am sorry.",
    )
    async with call_lab.network(DESK, carrier="twilio", **FAST) as network:
        network.phone(HUMAN, Answers() if takes_it else Declines())
        caller = network.rings(caller=CALLER)
        await ask(caller)
        await caller.hears("I will ask our planner.")
        if takes_it:
            human = await network.answered(HUMAN)
            await human.hears("A wedding for eighty. Will you take the call?")
            await human.presses("1")
            await human.hears("putting you through.")
            await human.waits(1)
            await human.says("Weddings, hello.")
            await caller.hears("Weddings, hello.")
        else:
            await caller.hears("Nobody is free, I am sorry.")
        await caller.hangs_up()
    first = call_lab.calls[0]
    assert [record.data["on"] for record in first.journal.of("hold")] == [True, False]
    if takes_it:
        assert first.outcome.reason == "joined with •••0102"
    else:
        assert "nobody took the call" in results(call_lab)[0].content
        assert first.outcome.ended_by == "caller"


# --- keys and messages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
async def test_keys_are_pressed_and_written_down_nowhere(call_lab, caplog, carrier):
    caplog.set_level(logging.DEBUG)
    call_lab.llm.replies(["One moment.", wants("press_keys", keys="90210#")], "That was it.")
    async with call_lab.network(DESK, carrier=carrier) as network:
        caller = network.rings(caller=CALLER)
        await ask(caller)
        await caller.hears("That was it.")
        if carrier == "telnyx":
            assert network.cloud.legs[0].keys_heard == "90210#"
        await caller.hangs_up()
    assert results(call_lab)[0].content == "Pressed."
    journal = call_lab.call.journal
    assert [record.data["digits"] for record in journal.of("dtmf.sent")] == ["••••••"]
    assert "90210" not in " ".join(record.to_json() for record in journal)
    assert "90210" not in caplog.text


async def test_what_is_no_key_is_said_to_the_model(call_lab):
    call_lab.llm.replies([wants("press_keys", keys="one")], "I can not.")
    async with call_lab.dial(DESK) as caller:
        await ask(caller)
        await caller.hears("I can not.")
    assert results(call_lab)[0].content.startswith("Failed: keys to press are 0-9")


@pytest.mark.parametrize(("arguments", "to"), [({}, CALLER), ({"to": HUMAN}, HUMAN), ({"to": STRANGER}, None)])
async def test_a_text_message_goes_to_the_caller_or_to_whom_is_on_the_list(call_lab, arguments, to):
    call_lab.llm.replies([wants("send_text_message", text="Table at eight.", **arguments)], "Done.")
    async with call_lab.network(DESK, carrier="twilio") as network:
        caller = network.rings(caller=CALLER)
        await ask(caller)
        await caller.hears("Done.")
        await caller.hangs_up()
        texts = [(text.recipient, text.text) for text in network.cloud.texts]
    assert texts == ([] if to is None else [(to, "Table at eight.")])
    assert results(call_lab)[0].failed is (to is None)


# --- tools of one's own that use the line ---------------------------------------------------------------------------


async def test_a_tool_that_uses_the_line_speaks_and_listens_behind_the_reply(call_lab):
    @tool(line=True)
    async def ask_name(call: Call) -> str:
        """Ask for the name and have it spelled."""
        await call.say("How do you spell it?")
        turn = await call.listen(timeout=10)
        return turn.text

    call_lab.llm.replies(["Your name please.", wants("ask_name")], "Thank you, Mister Meier.")
    async with call_lab.dial(attrs.evolve(DESK, tools=(ask_name,))) as caller:
        await ask(caller)
        await caller.hears("How do you spell it?")
        await caller.waits(0.5)
        await caller.says(" Em ee eye ee are")
        await caller.hears("Mister Meier.")
    assert caller.heard == f"{GREETING} Your name please. How do you spell it? Thank you, Mister Meier."
    assert results(call_lab)[0].content == "Em ee eye ee are"
    assert [message.role for message in call_lab.llm.requests[-1][2:]] == ["user", "assistant", "tool"]
    call_lab.assert_nothing_left()


async def test_a_plain_function_can_use_the_line_too(call_lab):
    @tool(line=True)
    def tell(call, what: str) -> None:
        """Tell the caller something."""
        call.say(what)

    call_lab.llm.replies([wants("tell", what="Mind the step.")], "Anything else?")
    async with call_lab.dial(attrs.evolve(DESK, tools=(tell,))) as caller:
        await ask(caller)
        await caller.hears("Mind the step.")
        await caller.hears("Anything else?")
    call_lab.assert_nothing_left()


async def test_other_tools_run_before_those_that_use_the_line(call_lab):
    ran: list[tuple[str, float]] = []

    @tool(line=True)
    async def speak(call) -> None:
        """Speak."""
        ran.append(("speak", trio.current_time()))

    async def look() -> None:
        """Look."""
        await trio.sleep(3)
        ran.append(("look", trio.current_time()))

    call_lab.llm.replies(["One moment.", ToolCall("1", "speak", "{}"), ToolCall("2", "look", "{}")], "There is one.")
    async with call_lab.dial(attrs.evolve(DESK, tools=(speak, look))) as caller:
        await ask(caller)
        await caller.hears("There is one.")
    assert [name for name, _ in ran] == ["look", "speak"]
    assert [message.tool_call_id for message in results(call_lab)] == ["1", "2"]
