"""Interruptions, and what only sounded like one, read from a journal."""

from __future__ import annotations

import pytest
from recorded_call import RecordedCall
from talking import busy_call, reason

from callengine.records.interruptions import (
    FalseAlarm,
    Interruption,
    Softening,
    false_alarms_of,
    interruptions_of,
    softenings_of,
)

OVER = {"turn": 1, "utterance": 2, "said": "One two.", "heard": "One", "complete": False, "certainty": "marks"}


async def test_in_a_call_a_backchannel_pauses_and_words_cut(call_lab) -> None:
    # given a call with "mm-hm" over a reply, and later "wait" over the same one
    books = await busy_call(call_lab, mode="pause")
    # then the agent fell silent for both, and went on after the first
    (carried_on, cut), paused = softenings_of(books)[:2], books.of("reply.paused")
    assert (carried_on.how, carried_on.then, carried_on.why) == ("pause", "carry on", reason(books, "carry on"))
    assert (carried_on.start, carried_on.end) == (paused[0].t, books.of("reply.resumed")[0].t)
    assert (cut.then, cut.why, cut.start) == ("cut", reason(books, "cut"), paused[1].t)
    (alarm,) = false_alarms_of(books)
    assert (alarm.backchannel, alarm.reason, alarm.known) == (True, carried_on.why, carried_on.end)
    first = interruptions_of(books)[0]
    assert (first.turn, first.trigger, first.reason) == (1, "transcript", cut.why)
    assert first.quiet - first.onset == pytest.approx(0.2)  # Interruption(min_duration=0.2)
    assert (first.silent, first.detected) == (first.quiet, cut.end)


async def test_a_ducked_agent_is_quiet_before_it_is_silent(call_lab) -> None:
    first = interruptions_of(await busy_call(call_lab, mode="duck"))[0]
    assert first.quiet - first.onset == pytest.approx(0.2)
    assert first.silent == first.detected
    assert first.silent > first.quiet + 0.2


def test_a_cut_of_another_reply_is_not_this_ones() -> None:
    call = RecordedCall()
    call.note(2.0, "barge_in", turn=1, utterance=2, onset=1.8, trigger="speech")
    call.note(2.0, "decision", what="cut", reason="caller has been speaking for 200 ms")
    call.note(2.5, "clear.sent", utterance=3, position=0)
    assert interruptions_of(call.records) == [
        Interruption(1, 2, 1.8, 2.0, None, None, "speech", "caller has been speaking for 200 ms")
    ]


@pytest.mark.parametrize(
    ("by", "then", "why"), [("caller", "cut", "caller said 'no'"), ("hangup", "end", ""), (None, "end", "")]
)
def test_a_pause_ends_with_its_reply(by: str | None, then: str, why: str) -> None:
    call = RecordedCall()
    call.note(1.0, "decision", what="pause", reason="caller has been sounding for 200 ms")
    call.note(1.0, "reply.paused", utterance=2, position=800)
    call.note(1.5, "decision", what="cut", reason="caller said 'no'")
    call.note(1.5, "reply.ended", interrupted_by=by, **OVER)
    sounding = "caller has been sounding for 200 ms"
    assert softenings_of(call.records) == [Softening(2, "pause", 1.0, 1.5, sounding, then, why)]


def test_a_ducked_reply_that_is_paused_is_one_after_the_other() -> None:
    call = RecordedCall()
    call.note(1.0, "reply.ducked", utterance=2)
    call.note(1.5, "reply.paused", utterance=2, position=800)
    call.note(2.0, "reply.resumed", utterance=2, position=700, repeated_ms=12.5)
    assert [(soft.how, soft.start, soft.end, soft.repeated_ms) for soft in softenings_of(call.records)] == [
        ("duck", 1.0, 1.5, 0.0),
        ("pause", 1.5, 2.0, 12.5),
    ]


def test_a_journal_that_breaks_off_in_a_pause_has_the_pause_so_far() -> None:
    call = RecordedCall()
    call.note(1.0, "reply.paused", utterance=2, position=800)
    call.note(1.75, "transcript", utterance=1, text="Well", final=False)
    (soft,) = softenings_of(call.records)
    assert (soft.end, soft.then) == (1.75, "end")


def test_false_alarms_are_backchannels_or_not() -> None:
    call = RecordedCall()
    about = {"turn": 1, "utterance": 2, "onset": 0.8}
    call.note(1.5, "false_interruption", backchannel=True, reason="backchannel 'Okay.'", **about)
    call.note(2.5, "false_interruption", backchannel=False, reason="sound without words", **about)
    assert false_alarms_of(call.records) == [
        FalseAlarm(2, 0.8, 1.5, True, "backchannel 'Okay.'"),
        FalseAlarm(2, 0.8, 2.5, False, "sound without words"),
    ]
