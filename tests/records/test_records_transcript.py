"""The transcript says what was heard, by whom, when, and what was not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import talking
from recorded_call import (
    GOODBYE,
    GREETING,
    LONG_REPLY,
    LONG_REPLY_HEARD,
    RESTART,
    SECOND_REPLY,
    SORRY,
    THANKS,
    RecordedCall,
    busy_call,
    clip,
)

from callengine.records.transcript import lines, transcript, write_transcript


def test_everything_that_was_said_is_there_in_order_as_it_was_heard() -> None:
    entries = transcript(busy_call())["entries"]
    assert [(entry["who"], entry["text"], entry["turn"]) for entry in entries] == [
        ("agent", GREETING, 0),
        ("caller", SORRY, 1),
        ("agent", LONG_REPLY_HEARD, 1),
        ("caller", RESTART, 2),
        ("agent", SECOND_REPLY, 2),
        ("caller", "Mm-hm.", None),
        ("caller", THANKS, 3),
        ("agent", GOODBYE, 3),
    ]


def test_an_interrupted_reply_says_by_whom_and_what_was_meant() -> None:
    entries = transcript(busy_call())["entries"]
    cut = next(entry for entry in entries if entry["text"] == LONG_REPLY_HEARD)
    assert cut["said"] == LONG_REPLY
    assert cut["interrupted_by"] == "caller"
    assert cut["certainty"] == "marks"
    assert not any("said" in entry for entry in entries if entry is not cut)


@pytest.mark.parametrize("audio", [True, False])
def test_times_are_those_of_the_voices(audio: bool) -> None:
    # given an utterance of the agent that is cut, and a caller's turn
    call = RecordedCall(audio=audio)
    call.agent_speaks(0.5, 1, 0, clip("af_nova_15_long"), "We are a group", heard="We are", cut_at=2.25)
    ended = call.caller_speaks(2.0, clip("am_michael_06_hours"), RESTART)
    call.turn_ends(ended + 0.5, 1, RESTART, ended)
    # when
    agent, caller = transcript(call.ends(5.0))["entries"]
    # then
    assert (agent["from"], agent["to"]) == (0.5, 2.25)
    assert (caller["from"], caller["to"]) == (2.0, ended)


def test_the_frame_of_the_call() -> None:
    whole = transcript(busy_call())
    assert whole["call_id"] == "CA0123"
    assert whole["carrier"] == "twilio"
    assert whole["started"] == "2025-05-02T10:30:00.000+02:00"
    assert whole["duration"] == pytest.approx(18.11, abs=0.02)
    assert (whole["ended_by"], whole["reason"]) == ("agent", "the flow said goodbye")


def test_a_journal_that_breaks_off_still_has_its_words() -> None:
    records = [record for record in busy_call() if record.t < 8.0]
    whole = transcript(records)
    assert whole["ended_by"] is None
    assert [entry["text"] for entry in whole["entries"]] == [GREETING, SORRY]


def test_a_dropped_reply_without_a_word_is_no_entry() -> None:
    call = RecordedCall()
    data = {"said": "", "heard": "", "complete": False, "interrupted_by": "caller", "certainty": "clock"}
    call.note(1.0, "reply.ended", turn=1, utterance=1, **data)
    assert transcript(call.ends(2.0))["entries"] == []


def test_lines_for_people() -> None:
    told = lines(busy_call())
    assert told[0] == f"0:00.4  agent   {GREETING}"
    assert told[1] == f"0:02.9  caller  {SORRY}"
    assert told[2].endswith(
        f"{LONG_REPLY_HEARD} [cut by the caller: the caller has spoken for 0.22 s over the agent; "
        f"not heard: {LONG_REPLY[len(LONG_REPLY_HEARD) + 1 :]}]"
    )
    assert "  caller  (Mm-hm.)" in told[5]
    assert told[-1] == "0:18.1  ended by agent: the flow said goodbye"


def test_the_callers_words_cannot_move_the_terminals_cursor() -> None:
    call = RecordedCall()
    ended = call.caller_speaks(1.0, clip("bf_emma_16_yes"), "\x1b[2Jyes\r\nno")
    call.turn_ends(ended + 0.5, 1, "\x1b[2Jyes\r\nno", ended)
    assert all(line.isprintable() for line in lines(call.ends(3.0)))


def test_it_is_written_as_json(tmp_path: Path) -> None:
    records = busy_call()
    write_transcript(records, tmp_path / "transcript.json")
    assert json.loads((tmp_path / "transcript.json").read_text(encoding="utf-8")) == transcript(records)


async def test_lines_of_a_call_with_everything(call_lab) -> None:
    # given a backchannel, an interruption, keys, a turn in two halves, and silence
    books = await talking.busy_call(call_lab)
    told = lines(books)
    paused = books.of("reply.resumed")[0].t - books.of("reply.paused")[0].t
    # then each has its line, with the reason where it is not plain
    wanted = [
        f"agent   {talking.GREETING}",
        "caller  When are you open?",
        "agent   We are open from Tuesday to Sunday, lunch is from noon to two, and dinner [cut by the caller: "
        f"{talking.reason(books, 'cut')}; not heard: from six to ten in the evening. On Mondays we are closed.]",
        "caller  (Mm-hm.) [backchannel, said while the agent speaks]",
        f"agent   [paused for {paused:.1f} s: {talking.reason(books, 'carry on')}]",
        "caller  Wait where are you exactly?",
        f"agent   {talking.WHERE}",
        "caller  •••• (keyed in)",
        f"agent   {talking.NOTED}",
        "caller  A table for four",
        "caller  at eight, please.",
        "agent   [withdrawn: the caller went on; not heard: Sure.]",
        f"agent   {talking.TABLE}",
        "agent   Are you still there? [the caller was silent for 4.0 s]",
        "ended by caller: the carrier stopped the stream",
    ]
    assert [line.split("  ", 1)[1] for line in told] == wanted


async def test_entries_say_why_and_what_became_of_them(call_lab) -> None:
    books = await talking.busy_call(call_lab)
    whole = transcript(books)
    entries = {entry["text"]: entry for entry in whole["entries"]}
    assert entries["When are you open?"]["reason"] == books.of("turn.ended")[0].data["reason"]
    assert (entries["••••"]["keyed"], entries["••••"]["reason"]) == (True, "the terminator came after 4 keys")
    assert entries["at eight, please."]["continues"]
    assert [entry["said"] for entry in whole["entries"] if entry.get("withdrawn")] == ["Sure."]
    asked = entries["Are you still there?"]
    assert (asked["prompt"], asked["reason"]) == ("ask whether the caller is there", "the caller was silent for 4.0 s")


async def test_a_stretch_for_which_the_agent_was_more_quiet_is_noted(call_lab) -> None:
    books = await talking.busy_call(call_lab, mode="duck")
    note = transcript(books)["notes"][0]
    assert (note["who"], note["reason"]) == ("agent", talking.reason(books, "carry on"))
    lasted = books.of("reply.resumed")[0].t - books.of("reply.ducked")[0].t
    assert note["what"] == f"more quiet for {lasted:.1f} s"


def test_a_turn_in_several_utterances_is_one_entry_from_its_first_sound() -> None:
    call = RecordedCall()
    call.caller_speaks(1.0, clip("bf_emma_16_yes"), "My number is")
    ended = call.caller_speaks(3.0, clip("bf_emma_16_yes"), "five five five.")
    call.turn_ends(ended + 0.5, 1, "My number is five five five.", ended)
    (entry,) = transcript(call.ends(6.0))["entries"]
    assert (entry["text"], entry["from"], entry["to"]) == ("My number is five five five.", 1.0, ended)


def test_what_was_let_pass_first_and_then_was_the_answer_is_said_once() -> None:
    call = RecordedCall()
    ended = call.caller_speaks(1.0, clip("bf_emma_16_yes"), "Yes.")
    call.note(ended + 0.5, "decision", what="no turn: backchannel", reason="said while the agent speaks: 'Yes.'")
    call.turn_ends(ended + 0.9, 1, "Yes.", ended)
    assert [entry["turn"] for entry in transcript(call.ends(6.0))["entries"]] == [1]


def test_what_is_no_turn_is_not_taken_for_the_beginning_of_one() -> None:
    call = RecordedCall()
    ended = call.caller_speaks(1.0, clip("bf_emma_16_yes"), "Yes")
    call.note(ended + 0.5, "decision", what="no turn: backchannel", reason="said while the agent speaks: 'Yes'")
    ended = call.caller_speaks(4.0, clip("bf_emma_16_yes"), "Yes, please.")
    call.turn_ends(ended + 0.9, 1, "Yes, please.", ended)
    entries = transcript(call.ends(6.0))["entries"]
    assert [(entry["text"], entry["turn"], entry["from"]) for entry in entries] == [
        ("Yes", None, 1.0),
        ("Yes, please.", 1, 4.0),
    ]
    assert entries[0]["reason"] == "backchannel, said while the agent speaks"


def test_an_entry_that_was_begun_again_is_noted() -> None:
    call = RecordedCall()
    call.note(2.0, "decision", what="begin the entry again", reason="the clear key came after 2 keys")
    assert lines(call.ends(3.0))[0] == "0:02.0  caller  [begins the entry again: the clear key came after 2 keys]"
