"""Tools in the history: calls, results, and what was heard of the words around them."""

from __future__ import annotations

import pytest

from callengine.brain.history import INTERRUPTED, History
from callengine.brain.tools.results import CANCELLED, CUT_OFF, LATE, RUNNING, CalledTool, ToolRound
from callengine.ports import Message, ToolCall
from callengine.turns.heard import Heard

SAID = "Hello. Let me look. One moment. Still looking. There is one."
"""A filler, the words before a call, another filler, the words before the next call, and the answer."""


def called(name: str, text: str, *sentences: str) -> ToolRound:
    return ToolRound(text, sentences or (text,), (CalledTool(ToolCall(name, "look", "{}")),))


def told(history: History) -> list[tuple[str, str]]:
    """Roles and texts; a message with calls has the role ``calls``."""
    return [("calls" if message.tool_calls else message.role, message.content) for message in history.messages("")]


def begun() -> tuple[History, ToolRound, ToolRound]:
    """A reply with two rounds of tools, of which the first is done."""
    history = History()
    history.caller_said("A table?")
    first, second = called("1", "Let me look."), called("2", "Still looking.")
    history.tools_called(first)
    first.called[0].end("done", "none inside")
    history.tools_called(second)
    second.called[0].begin()
    return history, first, second


def heard(text: str) -> Heard:
    return Heard(SAID, text, text == SAID, None if text == SAID else "caller")


@pytest.mark.parametrize(
    ("text", "first", "second", "last"),
    [
        (SAID, "Hello. Let me look.", "One moment. Still looking.", "There is one."),
        (
            "Hello. Let me look. One moment. Still looking. There",
            "Hello. Let me look.",
            "One moment. Still looking.",
            f"There {INTERRUPTED}",
        ),
        ("Hello. Let me look. One moment. Still looking.", "Hello. Let me look.", "One moment. Still looking.", None),
        ("Hello. Let me look. One moment.", "Hello. Let me look.", f"One moment. {INTERRUPTED}", None),
        ("Hello. Let me", f"Hello. Let me {INTERRUPTED}", "", None),
        ("", "", "", None),
    ],
)
def test_each_part_of_a_reply_stands_before_its_calls_as_far_as_it_was_heard(text, first, second, last):
    history, _, done = begun()
    done.called[0].end("done", "one outside")
    history.agent_said(heard(text))
    answer = [] if last is None else [("assistant", last)]
    calls = [("calls", first), ("tool", "none inside"), ("calls", second), ("tool", "one outside")]
    assert told(history) == [("user", "A table?"), *calls, *answer]


def test_words_that_were_never_spoken_are_looked_for_in_vain():
    """A sentence of which the voice made something else does not shift the others."""
    history = History()
    history.tools_called(called("1", "(Hm.)", "Hm."))
    history.agent_said(Heard("There is one.", "There is one.", True))
    assert told(history) == [("calls", ""), ("tool", RUNNING), ("assistant", "There is one.")]


def test_a_greeting_and_the_words_before_a_call_are_one_message():
    history = History()
    history.agent_said(Heard("Good evening!", "Good evening!", True))
    history.tools_called(called("1", "Let me look."))
    history.agent_said(Heard("Let me look.", "Let me look.", True))
    assert told(history) == [("calls", "Good evening! Let me look."), ("tool", RUNNING)]


@pytest.mark.parametrize(("interrupted", "why"), [(True, CANCELLED), (False, CUT_OFF)])
def test_what_was_cancelled_says_why(interrupted, why):
    history, _, second = begun()
    second.called[0].end("cancelled")
    history.reply_over(interrupted=interrupted)
    assert told(history)[2] == ("tool", "none inside")
    assert history.messages("")[4] == Message("tool", why, tool_call_id="2", failed=True)


def test_a_result_that_comes_late_takes_its_place_and_says_so():
    history, _, second = begun()
    history.reply_over(interrupted=True)
    history.caller_said("Hello?")
    assert told(history)[4] == ("tool", RUNNING)
    second.called[0].end("done", "one outside")
    assert told(history)[4:] == [("tool", f"one outside\n{LATE}"), ("user", "Hello?")]


def test_the_end_of_a_later_reply_leaves_an_earlier_one_alone():
    history, _, second = begun()
    history.caller_said("Hello?")
    history.reply_over(interrupted=True)
    second.called[0].end("done", "one outside")
    assert told(history)[4] == ("tool", "one outside")


def test_an_answer_that_is_taken_back_leaves_its_calls():
    """The caller went on at once: he heard nothing to speak of, but the tools did run."""
    history, _, _ = begun()
    history.agent_said(heard("Hello. Let me"))
    history.take_back()
    assert [content for role, content in told(history) if role == "calls"] == ["", ""]
    history = History()
    history.tools_called(called("1", "Let me look."))
    history.agent_said(Heard("Let me look.", "Let", False, "caller"))
    history.take_back()
    assert told(history) == [("calls", ""), ("tool", RUNNING)]
