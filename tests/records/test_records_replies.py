"""The agent's replies, read from a journal: whose words they answer, and what became of them."""

from __future__ import annotations

import pytest
from recorded_call import RecordedCall
from talking import HOURS, WHERE, busy_call

from callengine.records.replies import Reply, replies_of


def guess(call: RecordedCall, t: float, utterance: int, *, turn: int = 0) -> None:
    """The agent guesses that the caller is done, and begins to answer."""
    call.note(t, "decision", what="guess", reason="a pause behind a whole sentence: 'Yes'")
    call.note(t, "reply.started", turn=turn, utterance=utterance)


def over(call: RecordedCall, t: float, turn: int, *, guessed: bool = False, continues: bool = False) -> None:
    """The caller's turn is over."""
    data = {"utterance": turn, "text": "Yes", "speech_ended": t - 0.4, "reason": "finished sentence"}
    call.note(t, "turn.ended", turn=turn, guessed=guessed, continues=continues, **data)


def ended(call: RecordedCall, t: float, utterance: int, said: str, heard: str, by: str | None = None) -> None:
    about = {"said": said, "heard": heard, "complete": said == heard, "interrupted_by": by, "certainty": "marks"}
    call.note(t, "reply.ended", turn=0, utterance=utterance, **about)


def test_a_right_guess_answers_the_turn_that_it_guessed() -> None:
    call = RecordedCall()
    guess(call, 1.0, 1)
    call.note(1.2, "reply.token", turn=0)
    over(call, 1.4, 1, guessed=True)
    call.note(1.6, "reply.audible", utterance=1)
    ended(call, 2.0, 1, "Fine.", "Fine.")
    (reply,) = replies_of(call.records)
    assert (reply.turn, reply.guess, reply.taken_back, reply.token, reply.audible) == (1, True, False, 1.2, 1.6)


def test_a_wrong_guess_is_taken_back_and_the_next_one_stands_for_itself() -> None:
    call = RecordedCall()
    guess(call, 1.0, 1)
    call.note(1.2, "decision", what="take back the guess", reason="the caller goes on")
    ended(call, 1.21, 1, "Fine.", "", by="caller")
    guess(call, 1.5, 2)
    over(call, 1.7, 1, guessed=True)
    ended(call, 2.0, 2, "Good.", "Good.")
    assert [(reply.said, reply.turn, reply.taken_back) for reply in replies_of(call.records)] == [
        ("Fine.", 0, True),
        ("Good.", 1, False),
    ]


def test_a_guess_that_is_out_when_the_call_ends_was_none() -> None:
    call = RecordedCall()
    guess(call, 1.0, 1)
    ended(call, 1.2, 1, "Fine.", "", by="hangup")
    assert [reply.taken_back for reply in replies_of(call.ends(1.3))] == [True]


def test_what_the_caller_went_on_over_is_withdrawn() -> None:
    call = RecordedCall()
    over(call, 1.0, 1)
    call.note(1.1, "reply.started", turn=1, utterance=1)
    ended(call, 1.6, 1, "Sure.", "", by="caller")
    over(call, 3.0, 2, continues=True)
    call.note(3.1, "reply.started", turn=2, utterance=2)
    ended(call, 4.0, 2, "At eight.", "At eight.")
    assert [(reply.turn, reply.withdrawn) for reply in replies_of(call.records)] == [(1, True), (2, False)]


def test_first_text_belongs_to_its_reply_even_if_the_journal_has_it_before_the_start() -> None:
    call = RecordedCall()
    over(call, 1.0, 1)
    call.note(1.1, "reply.token", turn=1)
    call.note(1.1, "reply.started", turn=1, utterance=1)
    assert [reply.token for reply in replies_of(call.records)] == [1.1]


@pytest.mark.parametrize("agent", ["llm", "story"])
def test_a_prompt_says_what_it_is_for_unless_the_program_says_it(agent: str) -> None:
    # given that the caller was not understood: an agent says so, a story does what it likes
    call = RecordedCall()
    call.records[0].data["agent"] = agent
    call.note(1.0, "decision", what="ask again", reason="no final within 3 s of the end of speech")
    call.note(1.0, "reply.started", turn=0, utterance=1)
    ended(call, 2.0, 1, "Sorry?", "Sorry?")
    (reply,) = replies_of(call.records)
    prompt = ("ask again", "no final within 3 s of the end of speech") if agent == "llm" else ("", "")
    assert (reply.prompt, reply.reason, reply.answers) == (*prompt, agent == "story")


def test_a_filler_inside_a_reply_does_not_make_the_next_reply_one() -> None:
    call = RecordedCall()
    call.note(1.0, "reply.started", turn=1, utterance=1)
    call.note(2.0, "decision", what="fill", reason="the reply is not there yet")
    ended(call, 3.0, 1, "One moment. Yes.", "One moment. Yes.")
    call.note(4.0, "reply.started", turn=2, utterance=2)
    assert [reply.prompt for reply in replies_of(call.records)] == ["", ""]


async def test_in_a_call_each_reply_is_with_the_words_that_it_answers(call_lab) -> None:
    # given a call in which three answers were begun early, one of them for nothing
    replies = replies_of(await busy_call(call_lab))
    # then
    assert [reply.turn for reply in replies if reply.said == HOURS] == [1]
    assert [reply.turn for reply in replies if reply.said == WHERE] == [2]
    assert sum(reply.taken_back for reply in replies) == call_lab.outcomes[-1].counters["guesses taken back"]
    asked = [reply for reply in replies if reply.said == "Are you still there?"]
    assert [(reply.prompt, reply.reason) for reply in asked] == [
        ("ask whether the caller is there", "the caller was silent for 4.0 s")
    ]


def test_what_was_not_heard_of_a_reply() -> None:
    assert Reply(1, 1, said="We open at noon.", heard="We open").unheard == "at noon."
    assert Reply(1, 1, said="We open at noon.", heard="Something else").unheard == ""
    assert Reply(1, 1, interrupted_by="caller").interrupted
    assert not Reply(1, 1, interrupted_by="hangup").interrupted
