"""The turns of a call, from its journal."""

from __future__ import annotations

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
