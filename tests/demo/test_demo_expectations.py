"""What the demo expects of its call: it must not be content with less."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from callengine.journal import Record
from callengine.testing.demo.call import CallWentWrong, Dialled, play_call
from callengine.testing.demo.expectations import Check, check_call
from callengine.testing.demo.script import BREATH_GAP, LINES, Backchannel, Line, Script
from callengine.testing.demo.words import digits, fits

SCRIPT: Script = (
    Line(text="A table for four.", recordings=(), recognised=(("table",), ("four", "for")), answer=(("four people",),)),
    Line(
        text="No, six!", recordings=(), recognised=(("6",),), answer=(("six people",), ("number",)), cuts_in_after=1.0
    ),
    Line(
        text="Five five ... five five.",
        recordings=("five_five", "five_five"),
        pauses=(0.7,),
        recognised=(("5 5 5 5",),),
        answer=(("5 5 5 5",),),
    ),
    Backchannel(text="Okay.", recording="okay", recognised=(("okay", "ok"),), after=1.0),
)
ANSWERS = ("A table for four people. What name?", "Six people. Your number?", "A table for six, number 5 5 5 5.")


def journal(**changes: Any) -> list[Record]:
    """The records of a call that went as it should, but for these changes."""
    was: dict[str, Any] = {
        "greeting": "Hello! How can I help?",
        "callers": (("A table for four.",), ("No, six!",), ("Five, five.", "Five, five.")),
        "answers": ANSWERS,
        "heard": "A table for four",
        "cut_by": "caller",
        "clear": 1,
        "spoke_into_it": False,
        "continues": False,
        "murmur": "Ok.",
        "passed": "no turn: backchannel",
        "heard_in_spite": ANSWERS[-1],
        "ended_by": "agent",
    } | changes
    records = [_started(0), _reply(0, was["greeting"])]
    utterance = 0
    for number, pieces in enumerate(was["callers"], start=1):
        answer = was["answers"][min(number, 3) - 1]
        for piece in pieces:
            utterance += 1
            records.append(("speech.started", {"utterance": utterance, "onset": 0.0}))
            records.append(("transcript", {"utterance": utterance, "text": piece, "final": True}))
            if number == 3 and was["spoke_into_it"]:
                records.append(("reply.audible", {"utterance": 2}))
        continues = number == 3 and was["continues"]
        turn = {"turn": number, "text": " ".join(pieces), "speech_ended": None, "continues": continues}
        records += [("turn.ended", {**turn, "utterance": utterance}), _started(number)]
        if number == 1:
            records.append(("barge_in", {"turn": 1, "utterance": 1, "onset": 1.0, "trigger": "speech"}))
            records.append(("clear.sent", {"utterance": was["clear"], "position": 0}))
            records.append(_reply(1, answer, heard=was["heard"], cut_by=was["cut_by"]))
        elif number == 3:
            records.append(("transcript", {"utterance": 9, "text": was["murmur"], "final": True}))
            records.append(("decision", {"what": was["passed"], "reason": "said while the agent speaks"}))
            records.append(_reply(3, answer, heard=was["heard_in_spite"]))
        else:
            records.append(_reply(number, answer))
    records.append(("call.ended", {"ended_by": was["ended_by"], "reason": "a reason"}))
    return [Record("CA1", float(index), kind, data) for index, (kind, data) in enumerate(records)]


def _started(turn: int) -> tuple[str, dict[str, Any]]:
    return ("reply.started", {"turn": turn, "utterance": turn})


def _reply(turn: int, said: str, *, heard: str | None = None, cut_by: str | None = None) -> tuple[str, dict[str, Any]]:
    heard = said if heard is None else heard
    data = {"turn": turn, "utterance": turn, "said": said, "heard": heard, "complete": heard == said}
    return ("reply.ended", {**data, "interrupted_by": cut_by, "certainty": "marks"})


def failed(**changes: Any) -> list[Check]:
    return [check for check in check_call(journal(**changes), SCRIPT) if not check.held]


def test_a_call_as_it_should_be_holds() -> None:
    assert failed() == []


TABLE, SIX, NUMBER = ("A table for four.",), ("No, six!",), ("Five, five.", "Five, five.")


@pytest.mark.parametrize(
    ("changes", "expected", "found"),
    [
        ({"greeting": "Good evening."}, "greets", "Good evening."),
        ({"callers": (("A cable car.",), SIX, NUMBER)}, "understood: “A table", "A cable car."),
        ({"callers": (TABLE, ("Uh,",), NUMBER)}, "understood: “No, six!”", "Uh,"),
        ({"callers": (TABLE, SIX, ("Five, five.", "Five, nine."))}, "understood: “Five five", "Five, nine."),
        ({"answers": (ANSWERS[0], ANSWERS[0], ANSWERS[2])}, "answered: six people", ANSWERS[0]),
        ({"heard": ANSWERS[0]}, "cuts in", "heard"),
        ({"cut_by": None}, "cuts in", "cut by nobody"),
        ({"cut_by": "application"}, "cuts in", "cut by application"),
        ({"clear": 5}, "cuts in", "0 clear"),
        ({"callers": (TABLE, SIX, ("Five, five, five, five.",))}, "in 2 pieces", "1 pieces"),
        ({"spoke_into_it": True}, "in 2 pieces", "the agent spoke into it"),
        ({"continues": True}, "in 2 pieces", "it went on with the turn before"),
        ({"murmur": "Uh-huh."}, "carries on", "['Uh-huh.']"),
        ({"passed": "no turn: echo"}, "carries on", "not as a backchannel"),
        ({"heard_in_spite": "A table for six"}, "carries on", "heard “A table for six” of “A table for six, number"),
        ({"callers": (TABLE, SIX, NUMBER, ("Hello?",))}, "one turn", "Hello?"),
        ({"ended_by": "caller"}, "hangs up", "ended by caller"),
    ],
)
def test_each_expectation_can_fail_and_tells_what_there_was(changes: dict[str, Any], expected: str, found: str) -> None:
    checks = failed(**changes)
    assert len(checks) == 1
    assert expected in checks[0].expected
    assert found in checks[0].found


def test_a_line_that_made_no_turn_is_missed() -> None:
    checks = [check for check in check_call(journal(callers=(TABLE, SIX)), SCRIPT) if not check.held]
    assert checks[0].expected == "understood: “Five five ... five five.”"
    assert checks[0].found == "there was no such turn"


def test_a_journal_that_breaks_off_is_no_good_call() -> None:
    checks = [check for check in check_call(journal()[:6], SCRIPT) if not check.held]
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


def test_digits_are_read_however_they_are_spelt() -> None:
    assert digits("Nine, eight 7. Oh-one, and that's all") == "98701"


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.text[:20])
def test_the_script_fits_itself_and_its_recordings_are_there(line: Line | Backchannel) -> None:
    assert fits(line.recognised, line.text)
    assert 0.5 < len(line.speech()) / 8000 < 6


def test_who_dictates_pauses_between_the_pieces() -> None:
    line = Line(
        text="Zero one ... four two.",
        recordings=("am_michael_zero_one", "am_michael_four_two"),
        recognised=(),
        answer=(),
    )
    in_one_breath, dictated = (len(attrs.evolve(line, pauses=pauses).speech()) / 8000 for pauses in ((), (0.7,)))
    assert dictated - in_one_breath == pytest.approx(0.7 - BREATH_GAP)


async def test_a_caller_whom_nobody_answers_says_so() -> None:
    with pytest.raises(CallWentWrong, match="does not answer"):
        await play_call(Dialled(port=1))
