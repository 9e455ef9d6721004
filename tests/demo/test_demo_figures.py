"""How politely turns were taken, told from a journal."""

from __future__ import annotations

from typing import Any

from callengine.journal import Record
from callengine.testing.demo.figures import courtesies, pieces_of


def records(*entries: tuple[float, str, dict[str, Any]]) -> list[Record]:
    return [Record("CA1", t, kind, data) for t, kind, data in entries]


def said(utterance: int, text: str, ended: float) -> list[tuple[float, str, dict[str, Any]]]:
    return [
        (ended - 0.5, "speech.started", {"utterance": utterance, "onset": ended - 0.6}),
        (ended + 0.3, "speech.stopped", {"utterance": utterance, "ended": ended}),
        (ended + 0.3, "transcript", {"utterance": utterance, "text": text, "final": True}),
    ]


def turn(number: int, text: str, t: float) -> tuple[float, str, dict[str, Any]]:
    return (t, "turn.ended", {"turn": number, "text": text})


BARGE_IN = {"turn": 0, "utterance": 1, "onset": 2.1, "trigger": "speech"}
PAUSED = {"utterance": 1, "position": 800}
RESUMED = {"utterance": 1, "position": 800, "repeated_ms": 0.0}
FALSE = {"turn": 0, "utterance": 1, "onset": 2.0, "reason": "a reason"}
LET_PASS = {"what": "no turn: backchannel", "reason": "said while the agent speaks"}


def test_an_interruption_counts_from_its_onset_to_the_first_clear_behind_it() -> None:
    told = courtesies(
        records(
            (1.0, "clear.sent", {"utterance": 1}),  # a pause before
            (2.2, "speech.started", {"utterance": 1, "onset": 2.1}),
            (2.28, "clear.sent", {"utterance": 9}),
            (2.3, "clear.sent", {"utterance": 1}),
            (2.35, "barge_in", BARGE_IN),
        )
    )
    assert told == ["interruption: silent after 200 ms"]


def test_an_interruption_of_an_agent_with_nothing_on_the_line() -> None:
    told = courtesies(records((2.3, "barge_in", BARGE_IN)))
    assert told == ["interruption: the agent had said everything"]


def test_a_backchannel_counts_from_its_last_sound_to_the_agents_next_word() -> None:
    told = courtesies(
        records(
            (2.1, "speech.started", {"utterance": 4, "onset": 2.0}),
            (2.2, "reply.paused", PAUSED),
            (2.8, "reply.resumed", RESUMED),
            (2.8, "false_interruption", {**FALSE, "backchannel": True}),
            (3.0, "speech.stopped", {"utterance": 4, "ended": 2.65}),
        )
    )
    assert told == ["backchannel: carried on after 150 ms"]


def test_an_agent_that_never_paused() -> None:
    told = courtesies(
        records(
            (1.0, "speech.started", {"utterance": 3, "onset": 0.9}),
            (1.2, "reply.paused", PAUSED),  # by something before
            (1.6, "reply.resumed", RESUMED),
            (2.1, "speech.started", {"utterance": 4, "onset": 2.0}),
            (2.8, "false_interruption", {**FALSE, "backchannel": True}),
            (3.0, "speech.stopped", {"utterance": 4, "ended": 2.65}),
        )
    )
    assert told == ["backchannel: the agent never paused"]


def test_a_noise_is_no_backchannel() -> None:
    assert courtesies(records((2.8, "false_interruption", {**FALSE, "backchannel": False}))) == []


def test_a_number_is_told_with_its_pieces() -> None:
    told = courtesies(
        records(
            *said(1, "Four people at 7:30.", 1.0),
            turn(1, "Four people at 7:30.", 2.0),
            *said(2, "Nine, eight, seven.", 3.0),
            *said(3, "Zero one.", 4.0),
            turn(2, "Nine, eight, seven. Zero one.", 5.0),
            *said(4, "5550142", 6.0),
            turn(3, "5550142", 7.0),
        )
    )
    assert told == [
        "number: 4 digits in 1 piece, one turn",
        "number: 5 digits in 2 pieces, one turn",
        "number: 7 digits in 1 piece, one turn",
    ]


def test_what_was_no_turn_is_no_piece_of_one() -> None:
    call = records(
        *said(1, "Okay.", 1.0),
        (1.4, "decision", LET_PASS),
        *said(2, "Zero", 2.0),
        *said(3, "", 2.5),
        *said(4, "one.", 3.0),
        turn(1, "Zero one.", 4.0),
        turn(2, "Hello?", 5.0),
    )
    assert pieces_of(call, 1) == [2, 4]
    assert pieces_of(call, 2) == []
    assert pieces_of(call, 3) == []
