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
    assert latency_table(call.ends(5.0)) == [LatencyRow("turn", 1, ended, 432.1, 650.0, 810.0, 900.0, None)]


def test_a_barge_in_counts_from_the_onset_to_the_clear_of_its_utterance() -> None:
    call = RecordedCall(audio=False)
    call.agent_speaks(0.5, 1, 0, clip("af_nova_15_long"), "We are", cut_at=2.0)
    call.agent_speaks(3.0, 2, 1, clip("af_nova_15_long"), "We are", cut_at=4.125)
    call.barge_in(4.124, 1, 2, 3.875)
    row = latency_table(call.ends(6.0))
    assert row == [LatencyRow("barge-in", 1, 3.875, silence_ms=250.0)]


def test_a_barge_in_that_needed_no_clear_has_no_figure() -> None:
    call = RecordedCall(audio=False)
    call.barge_in(4.1, 1, 2, 3.9)
    assert latency_table(call.ends(6.0)) == [LatencyRow("barge-in", 1, 3.9)]


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
    assert [word for word in text[-1].split() if word != "median"] == ["200", "-", "-", "1000", "220"]
    assert "p90" not in format_table(rows)


def test_percentiles_are_shown_from_five_values_on() -> None:
    rows = [LatencyRow("turn", n, float(n), final_ms=100.0 * n) for n in (1, 2, 3, 4, 5)]
    rows.append(LatencyRow("barge-in", 3, 9.5, silence_ms=220.0))
    shown = {line.split()[0]: line.split()[1:] for line in format_table(rows).splitlines()[-3:]}
    assert shown == {
        "median": ["300", "-", "-", "-", "220"],
        "p90": ["460", "-", "-", "-", "-"],
        "p95": ["480", "-", "-", "-", "-"],
    }


def test_a_table_of_nothing_is_its_head() -> None:
    assert format_table([]).split("\n")[0].startswith("turn")
    assert "median" not in format_table([])
