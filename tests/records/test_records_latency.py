"""Latencies are differences of the journal's times, to the tenth of a millisecond."""

from __future__ import annotations

import pytest
from recorded_call import RecordedCall, busy_call, clip

from callengine.records.latency import LatencyRow, format_table, latency_table, percentile
from callengine.records.turns import turns_of


def test_a_turns_stages_count_from_the_end_of_the_callers_speech() -> None:
    call = RecordedCall(audio=False)
    ended = call.caller_speaks(1.0, clip("bf_emma_16_yes"), "Yes.")
    call.turn_ends(ended + 0.4321, 1, "Yes.", ended)
    call.agent_speaks(ended + 0.9, 1, 1, clip("af_nova_20_no"), "Fine.", token_after=0.25)
    assert latency_table(call.ends(5.0)) == [LatencyRow("turn", 1, ended, 432.1, 650.0, 810.0, 900.0)]


def test_a_barge_in_counts_from_the_onset_to_the_clear_of_its_utterance() -> None:
    call = RecordedCall(audio=False)
    call.agent_speaks(0.5, 1, 0, clip("af_nova_15_long"), "We are", cut_at=2.0)
    call.agent_speaks(3.0, 2, 1, clip("af_nova_15_long"), "We are", cut_at=4.125)
    call.barge_in(4.124, 1, 2, 3.875)
    row = latency_table(call.ends(6.0))
    assert row == [LatencyRow("barge-in", 1, 3.875, detected_ms=249.0, silence_ms=250.0, overlap_ms=250.0)]


def test_a_barge_in_that_needed_no_clear_has_no_time_to_silence() -> None:
    call = RecordedCall(audio=False)
    call.barge_in(4.1, 1, 2, 3.9)
    assert latency_table(call.ends(6.0)) == [LatencyRow("barge-in", 1, 3.9, detected_ms=200.0)]


@pytest.mark.parametrize(
    ("kind", "silence", "overlap"),
    [("reply.paused", 200.0, 200.0), ("reply.ducked", 200.0, 700.0)],
)
def test_silence_counts_to_the_first_softening_and_overlap_until_the_caller_speaks_alone(
    kind: str, silence: float, overlap: float
) -> None:
    # given a reply that was softened for nothing, then softened and cut
    call = RecordedCall(audio=False)
    for t in (1.5, 3.7):
        call.note(t, kind, utterance=2, position=0)
    call.note(2.0, "reply.resumed", utterance=2, position=0, repeated_ms=0.0)
    call.barge_in(4.2, 1, 2, 3.5)
    call.note(4.2, "clear.sent", utterance=2, position=0)
    (row,) = latency_table(call.ends(6.0))
    assert (row.detected_ms, row.silence_ms, row.overlap_ms) == (700.0, silence, overlap)


def test_a_key_silences_the_agent_at_the_moment_of_its_onset() -> None:
    call = RecordedCall(audio=False)
    onset = 4.1234567  # of which the journal's data has the first six decimals, rounded up
    call.note(onset, "barge_in", turn=1, utterance=2, onset=round(onset, 6), trigger="dtmf")
    call.note(onset, "clear.sent", utterance=2, position=0)
    (row,) = latency_table(call.ends(6.0))
    assert (row.detected_ms, row.silence_ms, row.overlap_ms) == (0.0, 0.0, 0.0)


def test_rows_are_in_order_of_time_and_the_greeting_is_none() -> None:
    rows = latency_table(busy_call())
    assert [(row.kind, row.turn) for row in rows] == [("turn", 1), ("barge-in", 1), ("turn", 2), ("turn", 3)]
    assert [row.at for row in rows] == sorted(row.at for row in rows)


def test_figures_agree_with_the_turns_of_the_outcome() -> None:
    records = busy_call()
    figures = {turn.number: turn.figures.audible_ms for turn in turns_of(records)}
    for row in latency_table(records):
        if row.kind == "turn":
            assert row.audible_ms == figures[row.turn]


def test_percentiles_interpolate_as_type_7_does() -> None:
    # R: quantile(c(15, 20, 35, 40, 50), 0.4, type = 7) is 29
    assert percentile([50, 15, 40, 20, 35], 40) == pytest.approx(29.0)
    with pytest.raises(ValueError):
        percentile([], 50)


def test_the_table_is_aligned_with_medians_below() -> None:
    rows = [LatencyRow("turn", n, float(n), final_ms=100.0 * n, audible_ms=1000.0) for n in (1, 2, 3)]
    rows.append(LatencyRow("barge-in", 3, 9.5, silence_ms=220.0))
    text = format_table(rows).splitlines()
    assert len({len(line) for line in text}) == 1
    assert [word for word in text[-1].split() if word != "median"] == ["200", "-", "-", "1000", "-", "220", "-"]
    assert "p90" not in format_table(rows)


def test_percentiles_are_shown_from_five_values_on() -> None:
    rows = [LatencyRow("turn", n, float(n), final_ms=100.0 * n) for n in (1, 2, 3, 4, 5)]
    rows.append(LatencyRow("barge-in", 3, 9.5, silence_ms=220.0))
    shown = {line.split()[0]: line.split()[1:] for line in format_table(rows).splitlines()[-3:]}
    assert shown == {
        "median": ["300", "-", "-", "-", "-", "220", "-"],
        "p90": ["460", "-", "-", "-", "-", "-", "-"],
        "p95": ["480", "-", "-", "-", "-", "-", "-"],
    }


def test_interrupted_turns_are_shown_and_are_in_no_total() -> None:
    rows = [LatencyRow("turn", n, float(n), audible_ms=100.0 * n) for n in (1, 2, 3, 4, 5)]
    rows.append(LatencyRow("turn", 6, 6.0, audible_ms=9000.0, interrupted=True))
    shown = {line.split()[0]: line.split() for line in format_table(rows).splitlines()[2:]}
    assert shown["6"][:4] == ["6", "cut", "6.00", "s"]
    assert "9000" in shown["6"]
    assert (shown["median"][4], shown["p90"][4], shown["p95"][4]) == ("300", "460", "480")


@pytest.mark.parametrize(("by", "interrupted"), [("caller", True), ("application", True), ("hangup", False)])
def test_a_turn_counts_as_interrupted_when_somebody_cut_its_answer(by: str, interrupted: bool) -> None:
    call = RecordedCall(audio=False)
    ended = call.caller_speaks(1.0, clip("bf_emma_16_yes"), "Yes.")
    call.turn_ends(ended + 0.4, 1, "Yes.", ended)
    call.agent_speaks(ended + 0.9, 1, 1, clip("af_nova_15_long"), "We are", cut_at=ended + 1.5, by=by)
    (row,) = latency_table(call.ends(9.0))
    assert row.interrupted is interrupted


def test_a_prompt_that_was_cut_does_not_make_the_turn_before_it_an_interrupted_one() -> None:
    call = RecordedCall(audio=False)
    ended = call.caller_speaks(1.0, clip("bf_emma_16_yes"), "Yes.")
    call.turn_ends(ended + 0.4, 1, "Yes.", ended)
    call.agent_speaks(ended + 0.9, 1, 1, clip("af_nova_20_no"), "Fine.")
    call.note(15.0, "decision", what="ask whether the caller is there", reason="the caller was silent for 10.0 s")
    call.agent_speaks(15.001, 2, 1, clip("af_nova_15_long"), "Are you still there?", cut_at=15.5)
    (row,) = latency_table(call.ends(20.0))
    assert not row.interrupted


def test_a_table_of_nothing_is_its_head() -> None:
    assert format_table([]).split("\n")[0].startswith("turn")
    assert "median" not in format_table([])


def test_the_table_fits_a_terminal() -> None:
    figures = {"final_ms": 1000.0, "first_token_ms": 1000.0, "first_audio_ms": 1000.0, "audible_ms": 1000.0}
    rows = [LatencyRow("turn", 99, 999.99, **figures, interrupted=True)]
    rows.append(LatencyRow("barge-in", 99, 999.99, detected_ms=1000.0, silence_ms=1000.0, overlap_ms=1000.0))
    assert max(map(len, format_table(rows).splitlines())) <= 80
