"""The wire benchmark finds what it looks for: its quick run, and codecs that are wrong on purpose."""

from __future__ import annotations

import json

import attrs
import pytest

from benchmarks.wire import fuzz as fuzzing
from benchmarks.wire.__main__ import MAX_GROWTH, MAX_RATIO, MAX_SLOWEST, QUICK, broken_bounds, main
from benchmarks.wire.damage import stream_of_damage
from benchmarks.wire.fuzz import Fuzzed, fuzz
from benchmarks.wire.speed import Speed
from benchmarks.wire.traffic import traffic
from callengine.ports import Ignored
from callengine.testing.side import kinds

GOOD = Fuzzed("twilio", 300, 0.1, 0.001, 100, {}, "", {"BadMessage": 200, "Ignored": 50})
CHEAP = Speed("twilio", 1.0, 3.0, 1.0, 5.0)


def test_the_quick_run_damages_every_carrier_s_messages_and_is_satisfied(tmp_path, capsys):
    file = tmp_path / "figures.json"
    assert main(["--quick", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())["figures"]
    assert tuple(row["carrier"] for row in figures["fuzz"]) == kinds()
    assert all((row["frames"], row["raised"]) == (QUICK, {}) for row in figures["fuzz"])
    assert figures["speed"] == []
    assert "Damaged messages" in capsys.readouterr().out


def test_carriers_number_and_seed_can_be_chosen(tmp_path):
    file = tmp_path / "figures.json"
    assert main(["--quick", "--only", "plivo", "--frames", "50", "--seed", "3", "--json", str(file)]) == 0
    rows = json.loads(file.read_text())["figures"]["fuzz"]
    assert [(row["carrier"], row["frames"]) for row in rows] == [("plivo", 50)]
    assert rows[0]["events"] == fuzz("plivo", 50, 3).events


def test_a_seed_always_damages_the_same_way():
    good = traffic("telnyx").samples()
    first, again, other = (list(stream_of_damage(good, 200, seed)) for seed in ("a", "a", "b"))
    assert first == again
    assert first != other
    assert sum(message in good for message in first) < 30


class Fragile:
    """A codec that stumbles, forgets nothing, and answers what is no event."""

    def __init__(self):
        self.kept = []

    def decode(self, text, payload):
        self.kept.append(payload + b"!")
        if not text:
            raise KeyError("event")
        return None if payload.startswith(b"{") else Ignored("unknown event")


def test_a_codec_that_raises_keeps_or_answers_nonsense_is_found(monkeypatch, capsys):
    class Wrong:
        def started(self):
            return Fragile()

        samples = traffic("twilio").samples

    class Recipe:
        codec = Fragile

    monkeypatch.setattr(fuzzing, "traffic", lambda *_: Wrong())
    monkeypatch.setattr(fuzzing, "recipe", lambda _: Recipe())
    result = fuzz("twilio", 400, 0)
    assert set(result.raised) == {"KeyError", "returned NoneType"}
    assert result.example
    assert result.growth > MAX_GROWTH
    assert main(["--quick", "--only", "twilio"]) == 1
    assert "BROKEN: twilio" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"raised": {"KeyError": 2}, "example": "text b'{'"}, "KeyError"),
        ({"growth": MAX_GROWTH + 1}, "behind"),
        ({"slowest": MAX_SLOWEST * 1.1}, "took 22.0 ms"),
    ],
)
def test_every_bound_of_damage_is_judged(changes, word):
    [line] = broken_bounds([attrs.evolve(GOOD, **changes)], [CHEAP], timed=True)
    assert word in line


@pytest.mark.parametrize(("changes", "word"), [({"decode": 3.0}, "decoding"), ({"encode": 5.0}, "encoding")])
def test_a_codec_that_is_not_cheaper_than_the_plain_way_is_judged(changes, word):
    assert MAX_RATIO < 1
    [line] = broken_bounds([GOOD], [attrs.evolve(CHEAP, **changes)], timed=True)
    assert word in line


def test_good_figures_are_good_and_a_quick_run_judges_no_time():
    assert broken_bounds([GOOD], [CHEAP], timed=True) == []
    assert broken_bounds([attrs.evolve(GOOD, slowest=1.0)], [attrs.evolve(CHEAP, decode=9.0)], timed=False) == []
