"""The turns of a call, from its journal."""

from __future__ import annotations

import pytest
import talking
from recorded_call import GREETING, LONG_REPLY, LONG_REPLY_HEARD, SECOND_REPLY, RecordedCall, busy_call

from callengine.outcome import Figures
from callengine.records.turns import turns_of


def test_each_exchange_has_what_was_said_and_heard() -> None:
    greeting, first, second, _ = turns_of(busy_call())
    assert (greeting.number, greeting.caller, greeting.heard, greeting.complete) == (0, "", GREETING, True)
    assert (first.said, first.heard, first.complete, first.interrupted_by) == (
        LONG_REPLY,
        LONG_REPLY_HEARD,
        False,
        "caller",
    )
    assert (second.heard, second.complete, second.interrupted_by) == (SECOND_REPLY, True, None)


def test_the_greeting_has_no_latencies() -> None:
    assert turns_of(busy_call())[0].figures == Figures()


def test_several_replies_of_one_turn_are_one_turn_and_only_the_first_counts() -> None:
    call = RecordedCall()
    call.turn_ends(2.0, 1, "And on Sundays?", 1.5)
    for number, at in ((1, 2.5), (2, 6.0)):
        call.note(at - 0.2, "reply.started", turn=1, utterance=number)
        call.note(at - 0.1, "reply.token", turn=1)
        call.note(at, "reply.audible", utterance=number)
        heard = {"said": f"part {number}.", "heard": f"part {number}.", "complete": True}
        certainty = "marks" if number == 1 else "clock"
        call.note(at + 1, "reply.ended", turn=1, utterance=number, interrupted_by=None, certainty=certainty, **heard)
    (turn,) = turns_of(call.ends(9.0))
    assert turn.heard == "part 1. part 2."
    assert turn.certainty == "clock"
    assert turn.figures == Figures(final_ms=500.0, first_token_ms=900.0, audible_ms=1000.0)


async def test_in_a_call_turns_are_what_both_sides_meant(call_lab) -> None:
    # given a call with guesses, right and wrong, a turn in two halves, keys, and a prompt
    await talking.busy_call(call_lab)
    outcome = call_lab.outcomes[-1]
    greeting, hours, where, keys, half, whole = outcome.turns
    # then
    assert (greeting.number, greeting.said) == (0, talking.GREETING)
    assert (hours.said, hours.complete, hours.interrupted_by) == (talking.HOURS, False, "caller")
    assert (where.caller, where.said, where.complete) == ("Wait where are you exactly?", talking.WHERE, True)
    assert (keys.caller, keys.keyed, keys.said, keys.figures) == ("••••", True, talking.NOTED, Figures())
    assert (half.caller, half.withdrawn, half.heard) == ("A table for four", True, "")
    assert (whole.caller, whole.continues, whole.withdrawn) == ("at eight, please.", True, False)
    assert [turn.keyed or turn.continues or turn.withdrawn for turn in (greeting, hours, where)] == [False] * 3


async def test_in_a_call_a_wrong_guess_leaves_no_figures(call_lab) -> None:
    books = await talking.busy_call(call_lab)
    # given a turn whose answer was begun twice: the second time, rightly
    end = books.of("turn.ended")[1]
    guesses = [record.t for record in books.of("decision") if record.data["what"] == "guess" and record.t < end.t]
    # then its first word came 0.2 s after that, and its first sound one short sentence and 0.1 s later
    figures = call_lab.outcomes[-1].turns[2].figures
    first_word = (guesses[-1] + call_lab.llm.first_token - end.data["speech_ended"]) * 1000
    assert figures.first_token_ms == pytest.approx(first_word, abs=0.1)
    assert figures.final_ms == pytest.approx((end.t - end.data["speech_ended"]) * 1000, abs=0.1)
    assert figures.audible_ms == figures.first_audio_ms


async def test_in_a_call_false_interruptions_and_guesses_are_counted(call_lab) -> None:
    books = await talking.busy_call(call_lab)
    outcome = call_lab.outcomes[-1]
    assert (outcome.counters["backchannels"], outcome.counters.get("false interruptions", 0)) == (1, 0)
    right = sum(record.data.get("guessed", False) for record in books.of("turn.ended"))
    assert (outcome.guesses_right, right) == (3, 3)
    assert outcome.counters["guesses taken back"] == outcome.counters["guesses"] - right


def test_a_cut_and_a_late_completion_are_one_turn() -> None:
    # given a reply that a cough cut, and the agent that says the rest
    call = RecordedCall()
    call.turn_ends(2.0, 1, "And on Sundays?", 1.5)
    cut = {"said": "At noon, on Sundays.", "heard": "At noon,", "complete": False, "interrupted_by": "caller"}
    call.note(2.2, "reply.started", turn=1, utterance=1)
    call.note(3.0, "reply.ended", turn=1, utterance=1, certainty="marks", **cut)
    call.note(3.5, "decision", what="say the rest", reason="what cut it was no interruption")
    rest = {"said": "on Sundays.", "heard": "on Sundays.", "complete": True, "interrupted_by": None}
    call.note(3.5, "reply.started", turn=1, utterance=2)
    call.note(5.0, "reply.ended", turn=1, utterance=2, certainty="marks", **rest)
    # then nothing is in it twice
    (turn,) = turns_of(call.ends(9.0))
    assert (turn.said, turn.heard) == ("At noon, on Sundays.", "At noon, on Sundays.")
    assert (turn.complete, turn.interrupted_by, turn.certainty) == (True, None, "marks")


def test_a_prompt_is_no_answer_that_the_caller_waited_for() -> None:
    call = RecordedCall()
    call.turn_ends(2.0, 1, "Well.", 1.5)
    call.note(12.0, "decision", what="ask whether the caller is there", reason="the caller was silent for 10.0 s")
    call.note(12.0, "reply.started", turn=1, utterance=1)
    call.note(12.1, "reply.audible", utterance=1)
    (turn,) = turns_of(call.ends(13.0))
    assert turn.figures == Figures(final_ms=500.0)


def test_an_apology_is_what_the_caller_waited_for() -> None:
    call = RecordedCall()
    call.turn_ends(2.0, 1, "Well.", 1.5)
    call.note(4.0, "decision", what="apologise", reason="the reply failed: no words")
    call.note(4.0, "reply.started", turn=1, utterance=1)
    call.note(4.1, "reply.audible", utterance=1)
    (turn,) = turns_of(call.ends(13.0))
    assert turn.figures == Figures(final_ms=500.0, audible_ms=2600.0)
