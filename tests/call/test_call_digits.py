"""Keys of the telephone in whole calls: entries, how a program asks for them, and that nobody else sees them."""

from __future__ import annotations

import logging

import pytest
import trio
from lab_calls import until

from callengine import Agent
from callengine.errors import CallEnded
from callengine.turns.digits import DigitSettings

SILENT = Agent(prompt="None.")


def keys_of(lab):
    """When each key of the last call arrived (engine time)."""
    journal = lab.call.journal
    return [journal.started_at + record.t for record in journal.of("dtmf")]


async def told(lab, body, *, agent=SILENT):
    """A call whose caller does ``body``; returns what the story heard, and when."""
    turns = []

    async def story(call):
        while True:
            turn = await call.listen()
            turns.append((trio.current_time(), turn))

    async with lab.dial(story, agent=agent) as caller:
        await caller.waits(0.5)
        await body(caller)
    lab.assert_nothing_left()
    return turns


# --- an entry is a turn ---------------------------------------------------------------------------------------------


async def test_an_entry_is_one_turn_when_its_terminator_comes(call_lab):
    async def body(caller):
        await caller.presses("1234#")
        await caller.waits(10)

    ((at, turn),) = await told(call_lab, body)
    assert (turn.keyed, turn.text) == (True, "1234")
    assert at == keys_of(call_lab)[-1]


async def test_what_the_caller_says_is_not_keyed(call_lab):
    async def body(caller):
        await caller.says("Two, please.")
        await caller.waits(2)
        await caller.presses("2#")
        await caller.waits(2)

    turns = [turn for _, turn in await told(call_lab, body)]
    assert [(turn.number, turn.keyed, turn.text) for turn in turns] == [(1, False, "Two, please."), (2, True, "2")]


@pytest.mark.parametrize("inter_digit", [3.0, 1.5])
async def test_an_entry_is_over_when_no_key_comes(call_lab, inter_digit):
    async def body(caller):
        await caller.presses("12")
        await caller.waits(10)

    agent = Agent(prompt="None.", digits=DigitSettings(inter_digit=inter_digit))
    ((at, turn),) = await told(call_lab, body, agent=agent)
    assert turn.text == "12"
    assert at == pytest.approx(keys_of(call_lab)[-1] + inter_digit, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "keys", "texts"),
    [
        pytest.param({}, "12*3#45#", ["12*3", "45"], id="by default"),
        pytest.param({"max_length": 2}, "1234#", ["12", "34"], id="max_length, and a terminator out of habit"),
        pytest.param({"terminator": "*"}, "1#2*", ["1#2"], id="terminator"),
        pytest.param({"clear_key": "*"}, "12*34#", ["34"], id="clear_key"),
        pytest.param({}, "#", [""], id="a terminator alone: nothing keyed in"),
    ],
)
async def test_the_agent_s_settings_say_what_an_entry_is(call_lab, settings, keys, texts):
    async def body(caller):
        await caller.presses(keys)
        await caller.waits(10)

    agent = Agent(prompt="None.", digits=DigitSettings(**settings))
    turns = await told(call_lab, body, agent=agent)
    assert [turn.text for _, turn in turns] == texts


async def test_listen_does_not_give_up_in_the_middle_of_an_entry(call_lab):
    turns = []

    async def story(call):
        turns.append(await call.listen(timeout=2.0))

    async with call_lab.dial(story, agent=SILENT) as caller:
        await caller.waits(1.0)
        await caller.presses("12")
        await caller.waits(1.5)
        await caller.presses("34#")
        await caller.is_hung_up_on()
    assert [turn.text for turn in turns] == ["1234"]
    call_lab.assert_nothing_left()


async def test_the_model_is_told_what_was_keyed_in(call_lab):
    call_lab.llm.replies("Thank you.")
    async with call_lab.dial(Agent(prompt="Be brief.", greeting="Your number?")) as caller:
        await caller.hears("Your number?")
        await caller.presses("4711#")
        await caller.hears("Thank you.")
    (request,) = call_lab.llm.requests
    assert "4711" in request[-1].content
    assert request[-1].role == "user"
    call_lab.assert_nothing_left()


# --- keys and the agent's voice -------------------------------------------------------------------------------------

MENU = "Press one for tables, two for takeaway, three for the opening hours, four for everything else."


async def test_a_key_interrupts_what_is_being_said_at_once(call_lab):
    results = []

    async def story(call):
        results.append(await call.say(MENU))
        results.append(trio.current_time())
        results.append(await call.listen())

    async with call_lab.dial(story, agent=SILENT) as caller:
        await caller.hears("two for takeaway,")
        await caller.presses("2#")
        await caller.waits(1)
        words = caller.heard
        await caller.is_hung_up_on()
    heard, cut_at, turn = results
    assert (heard.complete, heard.cut_by) == (False, "caller")
    assert heard.heard == words
    assert cut_at == keys_of(call_lab)[0]
    assert turn.text == "2"
    call_lab.assert_nothing_left()


async def test_a_key_does_not_interrupt_what_must_be_heard_and_counts_afterwards(call_lab):
    results = []

    async def story(call):
        results.append(await call.say(MENU, interruptible=False))
        results.append(await call.listen())

    async with call_lab.dial(story, agent=SILENT) as caller:
        await caller.hears("two for takeaway,")
        await caller.presses("2#")
        await caller.hears("everything else.")
        await caller.is_hung_up_on()
    heard, turn = results
    assert (heard.complete, heard.cut_by) == (True, None)
    assert turn.text == "2"
    call_lab.assert_nothing_left()


async def test_a_terminator_out_of_habit_interrupts_nothing(call_lab):
    results = []

    async def story(call):
        digits = await call.collect_digits(max_length=2, timeout=5.0)
        results.append(digits)
        results.append(await call.say(MENU))

    async with call_lab.dial(story, agent=SILENT) as caller:
        await caller.presses("12")
        await caller.hears("Press one")
        await caller.presses("#")
        await caller.hears("everything else.")
    assert results[0] == "12"
    assert results[1].complete
    call_lab.assert_nothing_left()


# --- a program that asks for digits ---------------------------------------------------------------------------------


async def collected(lab, body, **options):
    """What a story gets that asks for digits, and when (engine time)."""
    results = []

    async def story(call):
        begun = trio.current_time()
        results.extend([await call.collect_digits(**options), begun, trio.current_time()])

    async with lab.dial(story, agent=SILENT) as caller:
        await body(caller)
        await caller.is_hung_up_on()
    lab.assert_nothing_left()
    return results


async def test_collect_digits_returns_with_the_last_key(call_lab):
    async def body(caller):
        await caller.waits(1.0)
        await caller.presses("1234")

    digits, _, at = await collected(call_lab, body, max_length=4, timeout=10.0)
    assert digits == "1234"
    assert at == keys_of(call_lab)[-1]


async def test_collect_digits_returns_with_the_terminator(call_lab):
    async def body(caller):
        await caller.waits(1.0)
        await caller.presses("12#")

    digits, _, at = await collected(call_lab, body, max_length=4, timeout=10.0)
    assert digits == "12"
    assert at == keys_of(call_lab)[-1]


async def test_collect_digits_returns_nothing_when_no_key_comes_in_time(call_lab):
    async def body(caller):
        await caller.waits(1.0)

    digits, begun, at = await collected(call_lab, body, max_length=4, timeout=10.0)
    assert digits == ""
    assert at == pytest.approx(begun + 10.0, abs=1e-6)


async def test_the_timeout_of_collect_digits_is_for_the_first_key(call_lab):
    async def body(caller):
        for key in "1234":
            await caller.waits(2.0)
            await caller.presses(key)

    digits, _, at = await collected(call_lab, body, max_length=4, timeout=4.0)
    assert digits == "1234"
    assert at == keys_of(call_lab)[-1]


async def test_keys_that_came_before_they_were_asked_for_count(call_lab):
    results = []

    async def story(call):
        await call.say("Your code, please.")
        results.append(await call.collect_digits(max_length=4, timeout=10.0))

    async with call_lab.dial(story, agent=SILENT) as caller:
        await caller.hears("Your code,")
        await caller.presses("1234")
        await caller.is_hung_up_on()
    assert results == ["1234"]
    call_lab.assert_nothing_left()


async def test_after_collect_digits_entries_are_the_agent_s_again(call_lab):
    results = []

    async def story(call):
        results.append(await call.collect_digits(max_length=2, timeout=10.0))
        turn = await call.listen()
        results.append(turn.text)

    async with call_lab.dial(story, agent=SILENT) as caller:
        await caller.presses("12")
        await caller.waits(5)
        await caller.presses("3456#")
        await caller.is_hung_up_on()
    assert results == ["12", "3456"]
    call_lab.assert_nothing_left()


async def test_a_plain_function_can_collect_digits(call_lab):
    results = []

    def story(call):
        results.append(call.collect_digits(max_length=4, timeout=10.0))

    async with call_lab.dial(story, agent=SILENT) as caller:
        await caller.waits(1.0)
        await caller.presses("1234")
        await caller.is_hung_up_on()
    assert results == ["1234"]
    call_lab.assert_nothing_left()


async def test_a_caller_who_hangs_up_in_the_middle_of_an_entry_leaves_nothing(call_lab):
    results = []

    async def story(call):
        try:
            results.append(await call.collect_digits(max_length=4, timeout=10.0))
        except CallEnded as ended:
            results.append(ended.outcome.ended_by)

    async with call_lab.dial(story, agent=SILENT) as caller:
        await caller.presses("12")
        await caller.hangs_up()
    assert results == ["caller"]
    call_lab.assert_nothing_left()


# --- secrets --------------------------------------------------------------------------------------------------------


async def test_no_digit_is_in_journal_or_log(call_lab, caplog):
    """Given a PIN that is collected and a number that is keyed in unasked, then only the program sees them."""
    results = []

    async def story(call):
        results.append(await call.collect_digits(max_length=4, timeout=10.0))
        turn = await call.listen()
        results.append(turn.text)
        await call.listen()

    with caplog.at_level(logging.DEBUG):
        async with call_lab.dial(story, agent=SILENT) as caller:
            await caller.presses("7093")
            await caller.waits(4)
            await caller.presses("888222#")
            await until(lambda: len(results) == 2)
    assert results == ["7093", "888222"]
    journal = call_lab.call.journal
    assert [record.data["digit"] for record in journal.of("dtmf")] == ["•"] * 11
    written = "\n".join(record.to_json() for record in journal) + caplog.text
    assert "7093" not in written
    assert "888222" not in written
    (ended,) = [record.data["reason"] for record in journal.of("turn.ended") if "terminator" in record.data["reason"]]
    assert ended == "the terminator came after 6 keys"
    call_lab.assert_nothing_left()
