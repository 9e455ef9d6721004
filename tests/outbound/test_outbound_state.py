"""How far an outgoing call is: facts that are repeated, lost, late, and in any order."""

from __future__ import annotations

import random
from typing import get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.outbound.state import DialResult, OutgoingState
from callengine.telephony import (
    FINAL,
    AnsweredBy,
    CallProgress,
    CarrierFact,
    GreetingEnded,
    IncomingMessage,
    InstructionsWanted,
    MachineDetection,
    MessageProgress,
    Progress,
    RecordingReady,
    StreamFailed,
    TransferEnded,
    Unremarkable,
)

LEG = "CA1"
ORDERS = st.none() | st.integers(0, 9).map(float)
PROGRESS = st.builds(
    CallProgress,
    call_id=st.just(LEG),
    progress=st.sampled_from(get_args(Progress)),
    order=ORDERS,
    reason=st.sampled_from(["", "busy", "call_rejected", "CALL_REJECTED", "USER_BUSY"]),
    sip_code=st.sampled_from([None, 200, 404, 486, 487, 603, 607, 608]),
)
ANSWERED_BY = st.sampled_from(get_args(AnsweredBy))
FACTS: st.SearchStrategy[CarrierFact] = st.one_of(
    PROGRESS,
    st.builds(MachineDetection, st.just(LEG), ANSWERED_BY),
    st.builds(GreetingEnded, st.just(LEG), st.booleans()),
    st.builds(InstructionsWanted, st.just(LEG), st.just("reference")),
    st.builds(StreamFailed, st.just(LEG), st.sampled_from(["refused", "lost"])),
)
MANY = st.lists(FACTS, max_size=12)
RESULTS = set(get_args(DialResult))


def after(*facts: CarrierFact) -> OutgoingState:
    state = OutgoingState()
    for fact in facts:
        state.apply(fact)
    return state


def progress(what: Progress, **more: object) -> CallProgress:
    return CallProgress(call_id=LEG, progress=what, **more)


# --- whatever comes -----------------------------------------------------------------------------------------------


@given(MANY, MANY)
def test_once_answered_always_answered(before, later):
    state = after(*before)
    answered = state.answered
    for fact in later:
        state.apply(fact)
        assert state.answered or not answered
        answered = state.answered


@given(MANY)
def test_a_call_is_answered_exactly_when_something_says_so(facts):
    says_so = [
        fact
        for fact in facts
        if isinstance(fact, InstructionsWanted)
        or (isinstance(fact, CallProgress) and fact.progress in ("answered", "completed"))
    ]
    assert after(*facts).answered == bool(says_so)


@given(MANY)
def test_the_first_end_is_the_end(facts):
    ends = [fact for fact in facts if isinstance(fact, CallProgress) and fact.final]
    assert after(*facts).final == (ends[0] if ends else None)


@given(MANY, st.booleans())
def test_where_an_end_came_there_is_a_result(facts, hung_up):
    state = after(*facts)
    result = state.result(hung_up=hung_up)

    assert result is None or result in RESULTS
    if state.final is not None or state.answered or hung_up:
        assert result is not None


@given(MANY, st.booleans())
def test_who_was_answered_is_never_said_to_be_busy_or_gone(facts, hung_up):
    state = after(*facts)
    if state.answered:
        assert state.result(hung_up=hung_up) in ("answered", "voicemail")


@given(MANY, st.data())
def test_repeating_what_came_changes_nothing(facts, data):
    """Every delivery twice, the second one at any later time."""
    state, again = after(*facts), OutgoingState()
    pending: list[CarrierFact] = []
    for fact in facts:
        again.apply(fact)
        pending.append(fact)
        if data.draw(st.booleans()):
            again.apply(pending.pop(0))
    for fact in pending:
        again.apply(fact)

    assert (again.answered, again.final, again.call_id) == (state.answered, state.final, state.call_id)
    assert again.result(hung_up=False) in (state.result(hung_up=False), "voicemail")


def lives() -> st.SearchStrategy[list[CarrierFact]]:
    """Lives of legs as a carrier tells them, in their true order."""
    ends = st.sampled_from(["busy", "no answer", "failed", "canceled"])

    def life(answered: bool, end: Progress, verdict: AnsweredBy | None, greeting: bool) -> list[CarrierFact]:
        states: list[Progress] = ["queued", "ringing", *(["answered", "completed"] if answered else [end])]
        facts: list[CarrierFact] = [progress(state, order=float(order)) for order, state in enumerate(states)]
        if answered and verdict is not None:
            facts.insert(-1, MachineDetection(LEG, verdict))
            if greeting and verdict == "machine":
                facts.insert(-1, GreetingEnded(LEG, True))
        return facts

    return st.builds(life, st.booleans(), ends, st.none() | ANSWERED_BY, st.booleans())


@given(lives(), st.randoms(use_true_random=False), st.booleans())
def test_in_any_order_a_life_comes_to_the_same_result(facts, chance, hung_up):
    shuffled = list(facts)
    chance.shuffle(shuffled)

    assert after(*shuffled).result(hung_up=hung_up) == after(*facts).result(hung_up=hung_up)
    assert after(*shuffled).answered_by == after(*facts).answered_by
    assert after(*shuffled).greeting_over == after(*facts).greeting_over


@given(lives(), st.randoms(use_true_random=False), st.booleans())
def test_a_life_of_which_only_the_end_is_told_has_the_same_kind_of_result(facts, chance, hung_up):
    state = after(facts[-1])
    whole = after(*facts).result(hung_up=hung_up)

    assert state.result(hung_up=hung_up) == ("answered" if whole == "voicemail" else whole)


@given(MANY)
def test_the_leg_keeps_its_name(facts):
    assert after(*facts).call_id == (LEG if facts else None)


# --- one by one ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "result"),
    [
        (progress("busy"), "busy"),
        (progress("no answer"), "no answer"),
        (progress("canceled"), "no answer"),
        (progress("failed"), "failed"),
        (progress("completed"), "answered"),
        (progress("busy", sip_code=603), "refused"),
        (progress("failed", sip_code=607), "refused"),
        (progress("failed", sip_code=608), "refused"),
        (progress("busy", reason="CALL_REJECTED"), "refused"),
        (progress("failed", sip_code=486), "failed"),
    ],
)
def test_the_end_says_what_became_of_a_call_that_nobody_answered(end, result):
    assert after(progress("ringing"), end).result(hung_up=False) == result


@pytest.mark.parametrize(
    ("end", "result"),
    [
        (progress("canceled"), "canceled"),
        (progress("no answer"), "canceled"),
        (progress("busy"), "busy"),
        (progress("failed"), "failed"),
    ],
)
def test_a_call_that_we_hung_up_was_canceled_unless_it_had_come_to_nothing_by_itself(end, result):
    assert after(end).result(hung_up=True) == result


def test_nothing_is_known_of_a_call_of_which_nothing_came():
    assert OutgoingState().result(hung_up=False) is None
    assert OutgoingState().result(hung_up=True) == "canceled"


def test_an_old_delivery_is_not_taken_for_the_state():
    state = after(progress("ringing", order=5.0), progress("answered", order=3.0))

    assert state.answered  # it was, whenever that was told
    state.apply(progress("ringing", order=1.0))
    assert state.answered
    assert state.final is None


def test_an_end_counts_however_old_its_number_is():
    assert after(progress("answered", order=5.0), progress("completed", order=1.0)).final is not None


def test_a_second_end_does_not_replace_the_first():
    state = after(progress("busy", reason="486"), progress("completed"))

    assert state.final.reason == "486"
    assert state.result(hung_up=False) == "answered"  # it can only have been


@pytest.mark.parametrize("first", ["human", "machine", "fax"])
def test_the_first_verdict_that_says_something_stays(first):
    state = after(MachineDetection(LEG, first), MachineDetection(LEG, "human"), MachineDetection(LEG, "machine"))
    assert state.answered_by == first


def test_a_verdict_may_come_after_one_that_says_nothing():
    assert after(MachineDetection(LEG, "unknown"), MachineDetection(LEG, "machine")).answered_by == "machine"


@pytest.mark.parametrize(
    ("before", "answered_by"),
    [([], "machine"), ([MachineDetection(LEG, "unknown")], "machine"), ([MachineDetection(LEG, "human")], "human")],
)
def test_who_ends_a_greeting_is_a_machine_unless_it_was_said_to_be_somebody_else(before, answered_by):
    state = after(progress("answered"), *before, GreetingEnded(LEG, True))

    assert state.greeting_over
    assert state.answered_by == answered_by
    assert state.machine == (answered_by == "machine")


def test_a_machine_found_out_after_the_end_is_voicemail():
    """A48."""
    state = after(progress("answered"), progress("completed"), MachineDetection(LEG, "machine"))
    assert state.result(hung_up=False) == "voicemail"


def test_a_stream_that_came_says_who_it_is_and_that_it_was_answered():
    state = OutgoingState()
    state.connected(LEG)

    assert (state.call_id, state.answered) == (LEG, True)


def test_the_first_failure_of_a_stream_is_the_reason():
    assert after(StreamFailed(LEG, "refused"), StreamFailed(LEG, "lost")).stream_failure == "refused"


@pytest.mark.parametrize(
    "fact",
    [
        Unremarkable("noise"),
        TransferEnded("CA2", "reference", "busy"),
        RecordingReady(call_id="CA2", recording_id="RE1", url="https://example.com/1"),
        MessageProgress(message_id="SM1", status="sent"),
        IncomingMessage(message_id="SM1", sender="+15005550101", recipient="+15005550102", text="Hello"),
    ],
)
def test_what_is_not_about_the_leg_s_progress_is_left_alone(fact):
    state = after(fact)
    assert (state.call_id, state.answered, state.final) == (None, False, None)


def test_every_final_progress_has_a_result():
    for what in FINAL:
        assert after(progress(what)).result(hung_up=False) is not None


def test_no_order_of_a_whole_life_loses_the_answer():
    facts = [progress(state, order=float(n)) for n, state in enumerate(("queued", "ringing", "answered", "completed"))]
    for seed in range(24):
        random.Random(seed).shuffle(shuffled := [attrs.evolve(fact) for fact in facts])
        assert after(*shuffled).result(hung_up=False) == "answered"
