"""Tools that a language model calls: inside its reply, cancelled with it, and told to it afterwards."""

from __future__ import annotations

import logging
import threading
from typing import Any

import attrs
import pytest
import trio
from lab_calls import decisions, until

from callengine import Agent, CallSettings, ConfigurationError, Flow, Intent
from callengine.brain.history import INTERRUPTED
from callengine.brain.tools.results import CANCELLED, LATE, MAX_RESULT, RUNNING
from callengine.ports import Message, ToolCall
from callengine.tools import ToolError, tool
from callengine.turns.settings import Endpointing, Preemption, TurnSettings

GREETING = "Hello there."
QUESTION = "Is there a table for two?"
ANSWER = "We have one at eight."
LOOK = ToolCall("1", "find_table", '{"people": 2}')


class Kitchen:
    """Tools that take time, and remember what became of them."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.asked: list[int] = []
        self.ended: list[tuple[str, float]] = []

    async def find_table(self, people: int) -> str:
        """Find a free table.

        people: how many come
        """
        self.asked.append(people)
        try:
            await trio.sleep(self.seconds)
        except trio.Cancelled:
            self.ended.append(("cancelled", trio.current_time()))
            raise
        self.ended.append(("done", trio.current_time()))
        return "one at eight"


def agent(*tools: Any, **changes: Any) -> Agent:
    changes = {"thinking": (), **changes}
    return Agent(prompt="Be brief.", greeting=GREETING, tools=tools, **changes)


async def ask(caller) -> None:
    await caller.hears(GREETING)
    await caller.says(QUESTION)


def told(lab, request: int = -1) -> list[Message]:
    """What the model was told, behind the system's message and the greeting."""
    return lab.llm.requests[request][2:]


def records(lab, kind: str) -> list[dict[str, Any]]:
    return [record.data for record in lab.call.journal.of(kind)]


# --- the round trip -------------------------------------------------------------------------------------------------


async def test_the_model_gets_the_result_and_answers_with_it(call_lab):
    kitchen = Kitchen()
    call_lab.llm.replies([LOOK], ANSWER)
    async with call_lab.dial(agent(kitchen.find_table)) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
    assert kitchen.asked == [2]
    asked = Message("user", QUESTION)
    assert told(call_lab, 0) == [asked]
    assert told(call_lab, 1) == [
        asked,
        Message("assistant", "", tool_calls=(LOOK,)),
        Message("tool", "one at eight", tool_call_id="1"),
    ]
    (spec,) = call_lab.llm.tools[0]
    assert (spec.name, spec.description) == ("find_table", "Find a free table.")
    assert spec.parameters == {
        "type": "object",
        "properties": {"people": {"type": "integer", "description": "how many come"}},
        "required": ["people"],
    }
    call_lab.assert_nothing_left()


async def test_the_history_keeps_calls_results_and_what_was_heard_of_each_part(call_lab):
    """R33, R40: in the neutral shape, each result right behind its call, and nothing of it as the caller's words."""
    first, second = ToolCall("a", "find_table", '{"people": 2}'), ToolCall("b", "find_table", '{"people": 3}')
    call_lab.llm.replies(["Let me look.", first, second], [ANSWER, ToolCall("c", "find_table", "{}")], "Yes.", "Bye.")
    async with call_lab.dial(agent(Kitchen().find_table)) as caller:
        await ask(caller)
        await caller.hears("Yes.")
        await caller.waits(1)
        await caller.says("Thank you.")
        await caller.hears("Bye.")
    assert told(call_lab) == [
        Message("user", QUESTION),
        Message("assistant", "Let me look.", tool_calls=(first, second)),
        Message("tool", "one at eight", tool_call_id="a"),
        Message("tool", "one at eight", tool_call_id="b"),
        Message("assistant", ANSWER, tool_calls=(ToolCall("c", "find_table", "{}"),)),
        Message("tool", "Not run: people is missing.", tool_call_id="c", failed=True),
        Message("assistant", "Yes."),
        Message("user", "Thank you."),
    ]


async def test_what_the_model_said_first_is_heard_while_the_tool_runs(call_lab):
    """Although it is no whole sentence."""
    kitchen = Kitchen(seconds=3.0)
    call_lab.llm.replies(["Let me look", LOOK], ANSWER)
    async with call_lab.dial(agent(kitchen.find_table)) as caller:
        await ask(caller)
        heard_at = await caller.hears("Let me look")
        assert kitchen.asked
        assert not kitchen.ended
        answered_at = await caller.hears(ANSWER)
    assert heard_at < kitchen.ended[0][1] < answered_at
    (started,) = call_lab.call.journal.of("tool.started")
    written = call_lab.call.journal.of("reply.text")[1]
    assert started.t == written.t  # it waits for no voice
    assert len(call_lab.call.outcome.turns) == 2


async def test_several_calls_run_at_once(call_lab):
    kitchen = Kitchen(seconds=2.0)
    calls = [ToolCall(str(n), "find_table", f'{{"people": {n}}}') for n in (2, 3, 4)]
    call_lab.llm.replies(calls, ANSWER)
    async with call_lab.dial(agent(kitchen.find_table)) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
    assert sorted(kitchen.asked) == [2, 3, 4]
    assert len({at for _, at in kitchen.ended}) == 1
    assert [message.tool_call_id for message in told(call_lab)[2:]] == ["2", "3", "4"]


async def test_a_plain_function_runs_in_a_thread_and_gets_the_call(call_lab):
    def who_calls(call, polite: bool) -> dict[str, Any]:
        """Say who is calling."""
        return {"direction": call.direction, "polite": polite}

    call_lab.llm.replies([ToolCall("1", "who_calls", '{"polite": true}')], ANSWER)
    async with call_lab.dial(agent(who_calls)) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
    assert told(call_lab)[2].content == '{"direction": "inbound", "polite": true}'
    call_lab.assert_nothing_left()


async def test_the_journal_has_names_and_times_and_neither_arguments_nor_results(call_lab):
    """R36: in their order between the caller's words and the agent's."""
    call_lab.llm.replies([LOOK], "You can come then.")
    async with call_lab.dial(agent(Kitchen(seconds=1.5).find_table)) as caller:
        await ask(caller)
        await caller.hears("You can come then.")
        await caller.waits(1)
    assert records(call_lab, "tool.started") == [{"turn": 1, "tool": "find_table", "commit": False}]
    assert records(call_lab, "tool.ended") == [
        {"turn": 1, "tool": "find_table", "state": "done", "ok": True, "seconds": 1.5}
    ]
    kinds = [record.kind for record in call_lab.call.journal]
    order = ("turn.ended", "tool.started", "tool.ended", "reply.text", "reply.ended")
    places = [len(kinds) - 1 - kinds[::-1].index(kind) for kind in order]
    assert places == sorted(places)
    assert "one at eight" not in "".join(record.to_json() for record in call_lab.call.journal)


# --- what can go wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ('{"people": 2', "the arguments are no valid JSON: write one JSON object"),
        ("[2]", "the arguments must be a JSON object"),
        ("", "people is missing"),
        ('{"people": "two"}', "people must be a whole number"),
        ('{"people": 2, "when": "now"}', "there is no argument when; there are: people"),
    ],
)
async def test_arguments_that_do_not_fit_never_run_a_tool(call_lab, arguments, error):
    """R34"""
    kitchen = Kitchen()
    call_lab.llm.replies([ToolCall("1", "find_table", arguments)], ANSWER)
    async with call_lab.dial(agent(kitchen.find_table)) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
    assert kitchen.asked == []
    assert told(call_lab)[2] == Message("tool", f"Not run: {error}.", tool_call_id="1", failed=True)
    assert records(call_lab, "tool.refused") == [{"turn": 1, "tool": "find_table", "reason": "arguments"}]
    assert records(call_lab, "tool.started") == []


async def test_a_tool_that_does_not_exist_is_said_to_the_model(call_lab):
    call_lab.llm.replies([ToolCall("1", "find_\ntable", "{}")], ANSWER)
    async with call_lab.dial(agent(Kitchen().find_table)) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
    assert told(call_lab)[2].content == "Not run: there is no tool 'find_\\ntable'; there are: find_table."
    assert told(call_lab)[2].failed
    assert records(call_lab, "tool.refused") == [{"turn": 1, "tool": "find_ table", "reason": "unknown"}]


@pytest.mark.parametrize(
    ("error", "content"),
    [
        (ToolError("there is no free table"), "Failed: there is no free table"),
        (KeyError("the password of the database"), "Failed: an internal error (KeyError)."),
        (ExceptionGroup("", [ToolError("the book is closed")]), "Failed: the book is closed"),
    ],
)
async def test_an_exception_in_a_tool_is_told_to_the_model_and_the_call_goes_on(call_lab, caplog, error, content):
    @tool
    async def find_table() -> str:
        """Find a free table."""
        raise error

    call_lab.llm.replies([ToolCall("1", "find_table", "{}")], ANSWER)
    async with call_lab.dial(agent(find_table)) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
    assert told(call_lab)[2] == Message("tool", content, tool_call_id="1", failed=True)
    assert records(call_lab, "tool.ended")[0]["state"] == "failed"
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(loud) == isinstance(error, KeyError)
    assert all(record.exc_info for record in loud)
    assert call_lab.call.outcome.ended_by == "caller"


@pytest.mark.parametrize("seconds", [3.0, 12.0, 30.0])
async def test_a_tool_has_its_own_time_and_is_not_tried_again(call_lab, seconds):
    """R41: not the ten seconds that a model's words may take."""
    asked = []

    @tool(timeout=seconds)
    async def find_table() -> str:
        """Find a free table."""
        asked.append(trio.current_time())
        await trio.sleep_forever()

    call_lab.llm.replies([ToolCall("1", "find_table", "{}")], ANSWER)
    async with call_lab.dial(agent(find_table)) as caller:
        await ask(caller)
        answered_at = await caller.hears(ANSWER, timeout=60)
    assert len(asked) == 1
    content = f"Failed: no result within {seconds:g} s. It may have been done or not."
    assert told(call_lab)[2] == Message("tool", content, tool_call_id="1", failed=True)
    assert asked[0] + seconds < answered_at < asked[0] + seconds + 3
    assert call_lab.call.counters["tools timed out"] == 1


async def test_what_tools_take_is_not_the_model_s_time(call_lab):
    """Given a budget of 2 s, when the model takes 1.5 s each time, and the tool 5, then everybody had his time."""
    kitchen = Kitchen(seconds=5.0)
    call_lab.llm.first_token = 1.5
    call_lab.llm.replies([LOOK], ANSWER)
    async with call_lab.dial(agent(kitchen.find_table), settings=CallSettings(reply_budget=2.0)) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
    assert decisions(call_lab, "apologise") == []
    spent = records(call_lab, "reply.budget")[-1]["spent"]
    assert spent["tools"] == 5.0
    assert spent["scripted llm"] == pytest.approx(3.0, abs=0.01)


async def test_the_usual_time_is_thirty_seconds(call_lab):
    call_lab.llm.replies([LOOK], [LOOK], ANSWER)
    kitchen = Kitchen(seconds=29.0)
    async with call_lab.dial(agent(kitchen.find_table)) as caller:
        await ask(caller)
        await until(lambda: len(kitchen.asked) == 2, timeout=40)
        kitchen.ended.clear()
        await caller.hears(ANSWER, timeout=40)
    assert [what for what, _ in kitchen.ended] == ["done"]


async def test_long_results_are_cut_and_others_are_json(call_lab):
    @tool
    async def menu(long: bool) -> Any:
        """Read the menu."""
        return "soup " * MAX_RESULT if long else [{"soup": 4.5}, None, True]

    calls = [ToolCall("1", "menu", '{"long": true}'), ToolCall("2", "menu", '{"long": false}')]
    call_lab.llm.replies(calls, ANSWER)
    async with call_lab.dial(agent(menu)) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
    long, plain = told(call_lab)[2:]
    cut = f"\n[Cut: these are {MAX_RESULT} of {5 * MAX_RESULT} characters.]"
    assert long.content == ("soup " * MAX_RESULT)[:MAX_RESULT] + cut
    assert plain.content == '[{"soup": 4.5}, null, true]'


async def test_a_model_that_goes_round_in_circles_is_asked_without_tools(call_lab):
    kitchen = Kitchen(seconds=0.1)
    call_lab.llm.replies([LOOK], [LOOK], [LOOK], [ANSWER, LOOK], [LOOK], "Goodbye.")
    settings = CallSettings(max_tool_rounds=3)
    async with call_lab.dial(agent(kitchen.find_table), settings=settings) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
        await caller.waits(1)
        await caller.says("Thank you.")
        await caller.hears("Goodbye.")
    assert [len(tools) for tools in call_lab.llm.tools] == [1, 1, 1, 0, 1, 1]  # the next turn begins anew
    assert len(kitchen.asked) == 4


@pytest.mark.parametrize("said", ["", "Let me look."])
async def test_a_model_that_has_no_words_for_the_result_is_apologised_for(call_lab, said):
    call_lab.llm.replies([said, LOOK] if said else [LOOK], *[[""]] * 4)
    program = agent(Kitchen().find_table)
    async with call_lab.dial(program) as caller:
        await ask(caller)
        await caller.hears(program.apology)
        call_lab.llm._replies.clear()
        call_lab.llm.replies(ANSWER)
        await caller.waits(1)
        await caller.says(QUESTION)
        await caller.hears(ANSWER)
    assert len(decisions(call_lab, "apologise")) == 1
    assert [m.role for m in told(call_lab)] == ["user", "assistant", "tool", "assistant", "user"]


async def test_a_model_that_fails_behind_a_tool_is_apologised_for_and_the_result_is_kept(call_lab):
    call_lab.llm.replies([LOOK])
    call_lab.llm.fails(times=4)
    program = agent(Kitchen().find_table)
    async with call_lab.dial(program) as caller:
        await ask(caller)
        await caller.hears(program.apology)
        call_lab.llm._replies.clear()
        call_lab.llm.replies(ANSWER)
        await caller.waits(1)
        await caller.says("Hello?")
        await caller.hears(ANSWER)
    assert told(call_lab)[2] == Message("tool", "one at eight", tool_call_id="1")


def test_tools_are_a_models():
    intent = Intent("towels", examples=("I need towels",), reply="At once.")
    with pytest.raises(ConfigurationError, match="a flow's intents"):
        Agent(flow=Flow(can="send towels", intents=(intent,)), tools=(Kitchen().find_table,))


async def test_a_tool_cannot_speak_into_the_reply_that_waits_for_it(call_lab):
    """It would wait for the line, and the line for it."""

    async def use(call, how: str) -> None:
        """Use the line."""
        doing = {"say": lambda: call.say("Hm."), "listen": call.listen, "keys": call.collect_digits}
        await doing[how]() if how in doing else call.hold()

    verbs = {"say": "speak", "listen": "listen", "keys": "listen", "hold": "play music"}
    call_lab.llm.replies([ToolCall(how, "use", f'{{"how": "{how}"}}') for how in verbs], ANSWER)
    async with call_lab.dial(agent(use)) as caller:
        await ask(caller)
        await caller.hears(ANSWER, timeout=3)
    for result in told(call_lab)[2:]:
        does = verbs[result.tool_call_id]
        assert result.content.endswith(f"cannot {does} inside a reply: make it with @tool(line=True)")


# --- interruptions --------------------------------------------------------------------------------------------------


async def test_a_long_tool_is_cut_within_a_frame_and_the_new_words_are_answered(call_lab):
    """R19, A28: the reply to the new words starts within a second of them."""
    kitchen = Kitchen(seconds=90.0)
    find_table = tool(timeout=120.0)(kitchen.find_table)
    call_lab.stt.interim_every = 0.1
    call_lab.llm.replies(["Let me look that up in our book of tables for you.", LOOK], ANSWER)
    async with call_lab.dial(agent(find_table)) as caller:
        await ask(caller)
        await caller.hears("Let me look")
        await caller.interrupts("Stop, when do you close?")
        said_at = trio.current_time()
        await caller.hears("We")
        started_at = trio.current_time()
        await caller.hears("have one at eight.")
    (barge_in,) = call_lab.call.journal.of("barge_in")
    assert kitchen.ended == [("cancelled", pytest.approx(call_lab.call.started_at + barge_in.t, abs=0.02))]
    assert started_at - said_at <= 1.0 + 0.2  # the word's own length
    answer = call_lab.call.journal.of("reply.audible")[-1]
    assert answer.t - call_lab.call.journal.of("turn.ended")[-1].t <= 1.0
    assert records(call_lab, "tool.ended")[0]["state"] == "cancelled"
    assistant, result, caller_said = told(call_lab)[1:]
    assert assistant.content.endswith(INTERRUPTED)
    assert assistant.content.startswith("Let me look")
    assert assistant.tool_calls == (LOOK,)
    assert result == Message("tool", CANCELLED, tool_call_id="1", failed=True)
    assert caller_said == Message("user", "Stop, when do you close?")
    call_lab.assert_nothing_left()


async def test_a_silent_reply_that_waits_for_a_tool_gives_way_to_new_words(call_lab):
    """A28, where the caller has heard nothing yet."""
    kitchen = Kitchen(seconds=25.0)
    call_lab.llm.replies([LOOK], ANSWER)
    async with call_lab.dial(agent(kitchen.find_table)) as caller:
        await ask(caller)
        await until(lambda: kitchen.asked)
        await caller.waits(2.0)
        await caller.says("When do you close?")
        await caller.hears(ANSWER)
    assert [what for what, _ in kitchen.ended] == ["cancelled"]
    roles = [message.role for message in told(call_lab)]
    assert roles == ["user", "assistant", "tool", "user"]
    assert told(call_lab)[2].content == CANCELLED
    answer = call_lab.call.journal.of("reply.audible")[-1]
    assert answer.t - call_lab.call.journal.of("turn.ended")[-1].t <= 1.0


async def test_an_answer_that_is_cut_is_in_the_history_as_far_as_it_was_heard(call_lab):
    long = "One two three four five six seven eight nine ten."
    call_lab.stt.interim_every = 0.1
    call_lab.llm.replies(["Let me look.", LOOK], long, "Yes.")
    async with call_lab.dial(agent(Kitchen(seconds=2.0).find_table)) as caller:
        await ask(caller)
        await caller.hears("three")
        await caller.says("Stop that now please.")
        await caller.hears("Yes.")
    assistant, result, cut = told(call_lab)[1:4]
    assert assistant == Message("assistant", "Let me look.", tool_calls=(LOOK,))
    assert result == Message("tool", "one at eight", tool_call_id="1")
    assert cut.role == "assistant"
    assert cut.content.startswith("One two three")
    assert cut.content.endswith(INTERRUPTED)
    assert "ten" not in cut.content


async def test_a_caller_who_hangs_up_leaves_no_tool(call_lab):
    kitchen = Kitchen(seconds=20.0)
    call_lab.llm.replies([LOOK])
    async with call_lab.dial(agent(kitchen.find_table)) as caller:
        await ask(caller)
        await until(lambda: kitchen.asked)
        await caller.hangs_up()
    assert [what for what, _ in kitchen.ended] == ["cancelled"]
    assert call_lab.call.counters["tools cancelled"] == 1
    call_lab.assert_nothing_left()


async def test_a_plain_function_that_does_not_come_back_is_left_behind_and_counted(live_call_lab, caplog):
    """On the real clock: its thread cannot be stopped, and the caller does not wait for it."""
    let_go = threading.Event()

    @tool(timeout=0.3)
    def find_table() -> None:
        """Find a free table."""
        let_go.wait(20)

    live_call_lab.llm.replies([ToolCall("1", "find_table", "{}")], ANSWER)
    try:
        async with live_call_lab.dial(agent(find_table)) as caller:
            await ask(caller)
            await caller.hears(ANSWER, timeout=8)
        assert "no result within 0.3 s" in told(live_call_lab)[2].content
        assert live_call_lab.outcomes[-1].counters["abandoned tool threads"] == 1
        assert "the tool find_table is stuck in its own code" in caplog.text
    finally:
        let_go.set()
    await trio.sleep(0.1)
    live_call_lab.assert_nothing_left()


async def test_a_voice_that_fails_while_a_tool_runs_is_no_interruption(call_lab):
    kitchen = Kitchen(seconds=20.0)
    program = agent(kitchen.find_table)
    call_lab.llm.replies(["Let me look.", LOOK], ANSWER)
    async with call_lab.dial(program) as caller:
        await caller.hears(GREETING)
        call_lab.tts.fails(times=2)
        await caller.says(QUESTION)
        await caller.hears(program.apology)
        await caller.waits(1)
        await caller.says("Hello?")
        await caller.hears(ANSWER)
    assert [what for what, _ in kitchen.ended] == ["cancelled"]
    assert told(call_lab)[2].content == "Cancelled before it was done, because the reply was cut off."


# --- guesses --------------------------------------------------------------------------------------------------------

PATIENT = TurnSettings(
    endpointing=Endpointing(mode="fixed", min_delay=0.8, doubt_delay=0.8, max_delay=1.6),
    preemption=Preemption(enabled=True, stable=1.0),
)
"""The turn ends 0.8 s behind a whole sentence: time for guesses."""


async def test_a_guess_runs_no_tool_before_the_turn_is_certain(call_lab):
    kitchen = Kitchen()
    call_lab.stt.interim_every = 0.05
    call_lab.llm.replies([LOOK], ANSWER)
    async with call_lab.dial(agent(kitchen.find_table, turns=PATIENT)) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
    (ended,) = call_lab.call.journal.of("turn.ended")
    (started,) = call_lab.call.journal.of("tool.started")
    (guessed,) = [r for r in call_lab.call.journal.of("decision") if r.data["what"] == "guess"]
    assert ended.data["guessed"] is True
    assert guessed.t + call_lab.llm.first_token < ended.t
    assert started.t == pytest.approx(ended.t, abs=1e-6)


async def test_a_wrong_guess_runs_no_tool_and_leaves_no_trace(call_lab):
    kitchen = Kitchen()
    call_lab.stt.interim_every = 0.05
    call_lab.llm.replies([LOOK], [LOOK], ANSWER, ANSWER)
    async with call_lab.dial(agent(kitchen.find_table, turns=PATIENT)) as caller:
        await ask(caller)
        await caller.waits(0.6)
        assert len(call_lab.llm.requests) == 1
        assert call_lab.llm.streams == 0  # it has asked for its tool
        await caller.says("Outside would be nice.")
        await caller.hears(ANSWER)
    assert call_lab.call.counters["guesses taken back"] == 1
    assert kitchen.asked == [2]
    whole = f"{QUESTION} Outside would be nice."
    assert [message.role for message in told(call_lab)] == ["user", "assistant", "tool"]
    assert told(call_lab)[0] == Message("user", whole)


# --- commits --------------------------------------------------------------------------------------------------------


def booking(seconds: float, **options: Any) -> tuple[Kitchen, Any]:
    kitchen = Kitchen(seconds)
    return kitchen, tool(name="find_table", commit=True, **options)(kitchen.find_table)


async def test_a_commit_goes_on_when_the_reply_is_cut_and_the_model_learns_what_came_of_it(call_lab):
    kitchen, book = booking(6.0)
    call_lab.llm.replies([LOOK], "We close at ten.", "It is booked.")
    async with call_lab.dial(agent(book)) as caller:
        await ask(caller)
        await until(lambda: kitchen.asked)
        await caller.waits(0.5)
        await caller.says("When do you close?")
        await caller.hears("We close at ten.")
        assert told(call_lab)[2] == Message("tool", RUNNING, tool_call_id="1")
        await until(lambda: kitchen.ended)
        await caller.says("Did you book it?")
        await caller.hears("It is booked.")
    assert [what for what, _ in kitchen.ended] == ["done"]
    assert told(call_lab)[2] == Message("tool", f"one at eight\n{LATE}", tool_call_id="1")
    assert records(call_lab, "tool.ended")[0] == {
        "turn": 1,
        "tool": "find_table",
        "state": "done",
        "ok": True,
        "seconds": 6.0,
    }
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("how", ["the caller hangs up", "the engine stops"])
@pytest.mark.parametrize(("takes", "grace"), [(3.0, 5.0), (20.0, 5.0), (3.0, 2.0)])
async def test_a_commit_has_a_time_of_its_own_at_the_end_of_the_call(call_lab, caplog, how, takes, grace):
    kitchen, book = booking(takes)
    call_lab.llm.replies([LOOK])
    begun = 0.0
    ends = []
    with trio.CancelScope() as scope:
        async with call_lab.engine(agent(book), settings=CallSettings(commit_timeout=grace)) as engine:
            engine.on_call_end(ends.append)
            async with call_lab.dial(engine) as caller:
                await ask(caller)
                await until(lambda: kitchen.asked)
                begun = trio.current_time()
                if how == "the caller hangs up":
                    await caller.hangs_up()
                else:
                    scope.cancel()
                    await trio.sleep_forever()
    assert ends == [call_lab.call.outcome]
    ended_at = ends[0].ended_at
    state = "done" if takes <= grace else "cancelled"
    when = begun + takes if takes <= grace else ended_at + grace
    assert kitchen.ended == [(state, pytest.approx(when, abs=0.01))]
    assert records(call_lab, "tool.ended")[0]["state"] == state
    assert call_lab.call.counters["tools cancelled"] == (state == "cancelled")
    assert ("was cut off: the call is over" in caplog.text) == (state == "cancelled")
    call_lab.assert_nothing_left()


async def test_a_commit_has_its_timeout(call_lab):
    kitchen, book = booking(60.0, timeout=4.0)
    call_lab.llm.replies([LOOK], ANSWER)
    async with call_lab.dial(agent(book)) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
    assert [what for what, _ in kitchen.ended] == ["cancelled"]
    assert "no result within 4 s" in told(call_lab)[2].content


# --- while the caller waits -----------------------------------------------------------------------------------------


async def test_a_tool_s_own_filler_is_said_first_and_once(call_lab):
    kitchen = Kitchen(seconds=3.0)
    book = tool(filler="I am looking it up.")(kitchen.find_table)
    call_lab.llm.replies([LOOK, attrs.evolve(LOOK, id="2")], ANSWER, "Goodbye.")
    async with call_lab.dial(agent(book)) as caller:
        await ask(caller)
        await caller.hears("I am looking it up.")
        assert not kitchen.ended
        await caller.hears(ANSWER)
        await caller.waits(1)
        await caller.says("Thank you.")
        await caller.hears("Goodbye.")
    assert caller.heard == f"{GREETING} I am looking it up. {ANSWER} Goodbye."
    assert told(call_lab)[1].content == "I am looking it up."  # the caller heard it


async def test_a_model_that_says_something_itself_needs_no_filler(call_lab):
    book = tool(filler="I am looking it up.")(Kitchen().find_table)
    call_lab.llm.replies(["Let me look.", LOOK], ANSWER)
    async with call_lab.dial(agent(book)) as caller:
        await ask(caller)
        await caller.hears(ANSWER)
    assert caller.heard == f"{GREETING} Let me look. {ANSWER}"


async def test_the_agent_s_fillers_come_while_a_tool_runs(call_lab):
    kitchen = Kitchen(seconds=4.0)
    program = agent(kitchen.find_table, thinking=("One moment, please.",), thinking_after=2.0)
    call_lab.llm.replies([LOOK], ANSWER)
    async with call_lab.dial(program) as caller:
        await ask(caller)
        await caller.hears("One moment, please.")
        assert not kitchen.ended
        await caller.hears(ANSWER)
    assert caller.heard == f"{GREETING} One moment, please. {ANSWER}"
