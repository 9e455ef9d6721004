"""What the demo expects of its call: it must not be content with less."""

from __future__ import annotations

from typing import Any

import pytest

from callengine.journal import Record
from callengine.testing.demo.call import CallWentWrong, Dialled, play_call
from callengine.testing.demo.expectations import Check, check_call, fits
from callengine.testing.demo.script import LINES, Line

SCRIPT = (
    Line(text="A table for four.", recordings=(), recognised=(("table",), ("four", "for")), answer=(("four people",),)),
    Line(text="No, six!", recordings=(), recognised=(("6",),), answer=(("six people",),), cuts_in_after=1.0),
)
ANSWERS = ("A table for four people. What name?", "A table for six people. What name?")


def journal(**changes: Any) -> list[Record]:
    """The records of a call that went as it should, but for these changes."""
    was: dict[str, Any] = {
        "greeting": "Hello! How can I help?",
        "callers": ("A table for four.", "No, six!"),
        "answers": ANSWERS,
        "heard": "A table for four",
        "cut_by": "caller",
        "clear": 1,
        "ended_by": "agent",
    } | changes
    records: list[tuple[str, dict[str, Any]]] = [_reply(0, 0, was["greeting"])]
    for number, words in enumerate(was["callers"], start=1):
        answer = was["answers"][min(number, 2) - 1]
        records.append(("turn.ended", {"turn": number, "text": words, "speech_ended": None, "utterance": number}))
        if number == 1:
            records.append(("barge_in", {"turn": 1, "utterance": 1, "onset": 1.0, "trigger": "speech"}))
            records.append(("clear.sent", {"utterance": was["clear"], "position": 0}))
            records.append(_reply(1, 1, answer, heard=was["heard"], cut_by=was["cut_by"]))
        else:
            records.append(_reply(number, number, answer))
    records.append(("call.ended", {"ended_by": was["ended_by"], "reason": "a reason"}))
    return [Record("CA1", float(index), kind, data) for index, (kind, data) in enumerate(records)]


def _reply(
    turn: int, utterance: int, said: str, *, heard: str | None = None, cut_by: str | None = None
) -> tuple[str, dict[str, Any]]:
    heard = said if heard is None else heard
    data = {"turn": turn, "utterance": utterance, "said": said, "heard": heard, "complete": heard == said}
    return ("reply.ended", {**data, "interrupted_by": cut_by, "certainty": "marks"})


def failed(**changes: Any) -> list[Check]:
    return [check for check in check_call(journal(**changes), SCRIPT) if not check.held]


def test_a_call_as_it_should_be_holds() -> None:
    assert failed() == []


@pytest.mark.parametrize(
    ("changes", "expected", "found"),
    [
        ({"greeting": "Good evening."}, "greets", "Good evening."),
        ({"callers": ("A cable car.", "No, six!")}, "understood: “A table", "A cable car."),
        ({"callers": ("A table for four.", "Uh,")}, "understood: “No, six!”", "Uh,"),
        ({"answers": (ANSWERS[0], ANSWERS[0])}, "answered: six people", ANSWERS[0]),
        ({"heard": ANSWERS[0]}, "cuts in", "heard"),
        ({"cut_by": None}, "cuts in", "cut by nobody"),
        ({"cut_by": "application"}, "cuts in", "cut by application"),
        ({"clear": 5}, "cuts in", "0 clear"),
        ({"callers": ("A table for four.",)}, "understood: “No, six!”", "there was no such turn"),
        ({"callers": ("A table for four.", "No, six!", "Hello?")}, "one turn", "Hello?"),
        ({"ended_by": "caller"}, "hangs up", "ended by caller"),
    ],
)
def test_each_expectation_can_fail_and_tells_what_there_was(changes: dict[str, Any], expected: str, found: str) -> None:
    checks = failed(**changes)
    assert len(checks) == 1
    assert expected in checks[0].expected
    assert found in checks[0].found


def test_a_journal_that_breaks_off_is_no_good_call() -> None:
    checks = [check for check in check_call(journal()[:3], SCRIPT) if not check.held]
    assert "the journal breaks off" in checks[-1].found


@pytest.mark.parametrize(
    ("words", "text", "held"),
    [
        ((("four",), ("six",)), "four, then six", True),
        ((("four",), ("six",)), "six, then four", False),
        ((("four", "for"),), "a table for two", True),
        ((("four",),), "fourteen people", False),
        ((("5 5 5 0 1",),), "Five-five five, OH one", True),
        ((("half past seven",),), "Half-past seven!", True),
        ((("half past seven",),), "half past 7", True),
        ((("a",), ("a",)), "only a", False),
        ((), "", True),
    ],
)
def test_words_fit_in_order_however_they_are_spelt(words: Any, text: str, held: bool) -> None:
    assert fits(words, text) is held


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.text[:20])
def test_the_script_fits_itself_and_its_recordings_are_there(line: Line) -> None:
    assert fits(line.recognised, line.text)
    assert 0.5 < len(line.speech()) / 8000 < 6


async def test_a_caller_whom_nobody_answers_says_so() -> None:
    with pytest.raises(CallWentWrong, match="does not answer"):
        await play_call(Dialled(port=1))
