"""The benchmark of providers does what it says: its quick run, over real sockets; no time is judged here."""

from __future__ import annotations

import json
import math

import attrs
import pytest

from benchmarks.calls_per_core.results import MAX_REACTION, Run
from benchmarks.calls_per_core.scenario import SHORT_TURNS, Scenario
from benchmarks.providers.__main__ import broken_bounds, main
from benchmarks.providers.messages import wanted
from benchmarks.providers.parts import QUICK

GOOD = Run(
    calls=2, seconds=1.0, cpu=0.004, load=0.4, others=0.0, rss=1.0, providers=0.0, reaction=[0.005] * 100,
    reaction_in_all=[], vad=[], barge_in=[], barge_in_in_all=[], decision_to_clear=[], lateness=[], metronome=[],
    underruns=0, longest_gap=0.0, missed=0, generator_lag=[], generator_load=0.1, failures=0, tasks_left=0,
    sockets_left=0, vendor_lag=[], vendor_load=0.0,
)  # fmt: skip


def test_the_quick_run_measures_every_part_and_whole_calls(tmp_path, capsys):
    file = tmp_path / "figures.json"
    assert main(["--quick", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())["figures"]
    parts = figures["parts"]
    assert {row["name"].split(",")[0] for row in parts} >= {"deepgram", "cartesia", "elevenlabs", "anthropic", "gemini"}
    assert all(row["value"] > 0 and row["other"] > 0 for row in parts)
    scripted, loopback = figures["calls"]
    assert loopback["reaction"]["count"] > 0
    for run in (scripted, loopback):
        assert (run["failures"], run["tasks_left"], run["sockets_left"]) == (0, 0, 0)
    assert loopback["vendor_lag"]["count"] > scripted["vendor_lag"]["count"] == 0
    out = capsys.readouterr().out
    assert f"with {QUICK.kept} connections kept" in out
    assert "2 calls with a vendor of each role" in out


def test_good_calls_are_good():
    assert broken_bounds(GOOD, timed=True) == []
    assert GOOD.passed


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"missed": 1}, "missed"),
        ({"failures": 2}, "a provider failed"),
        ({"tasks_left": 1}, "tasks were left"),
        ({"sockets_left": 3}, "sockets of vendors"),
        ({"reaction": []}, "no turn"),
        ({"reaction": [MAX_REACTION * 1.1]}, "reaction p99 is 22"),
        ({"underruns": 1}, "heard a gap"),
    ],
)
def test_every_bound_of_calls_is_judged(changes, word):
    worse = attrs.evolve(GOOD, **changes)
    [line] = broken_bounds(worse, timed=True)
    assert word in line
    assert not worse.passed or "reaction" in changes


def test_a_quick_run_judges_no_time():
    assert broken_bounds(attrs.evolve(GOOD, reaction=[1.0], underruns=1), timed=False) == []


def test_the_delays_of_vendors_that_listen_during_a_pause_are_not_taken_off_twice():
    loopback = Scenario(providers="loopback")
    rest = loopback.provider_delay
    assert math.isclose(Scenario().provider_delay - Scenario().stt_final, rest)
    slow = Scenario(providers="loopback", stt_final=0.2)
    assert math.isclose(slow.provider_delay - rest, 0.2 - (slow.min_silence - slow.pause))
    in_time = attrs.evolve(SHORT_TURNS, providers="loopback")
    assert math.isclose(in_time.provider_delay, SHORT_TURNS.provider_delay)


def test_a_request_says_how_many_words_it_wants():
    assert len(wanted(b'{"model":"words-7"}', Scenario())) == 7
    assert wanted(b"{}", Scenario()) == Scenario().tokens
