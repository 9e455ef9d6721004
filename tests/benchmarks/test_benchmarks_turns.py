"""The turn-taking benchmark counts what it says that it counts: hand-made calls, of which the answer is known."""

from __future__ import annotations

import csv
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from benchmarks.turns.details import write_details
from benchmarks.turns.figures import Figures, tables
from benchmarks.turns.line import CallersLine
from benchmarks.turns.picture import write_picture
from benchmarks.turns.play import Played, SaidIntrusion, SaidTurn
from benchmarks.turns.scoring import score
from benchmarks.turns.script import CallScript, Intrusion, Line, Turn, calls
from benchmarks.turns.variants import DEFAULT, VARIANTS, variant
from benchmarks.turns.voices import Clip, callers
from callengine import ConfigurationError
from callengine.audio import MULAW
from callengine.journal import Record
from callengine.testing.playout import PlayoutQueue

QUIET = Line("quiet", -65.0, 0.0)


def clip(name="clip", seconds=1.0):
    return Clip(name, "voice", "kind", "text", np.full(round(8000 * seconds), 1000, np.float32), 0.0, seconds)


def record(t, kind, **data):
    return Record("CA1", t, kind, data)


def call(*, turns=(), intrusions=(), records=(), audible=(), line=QUIET):
    """A call in which these turns were said (group and spans) and these things came into the agent's reply 1."""
    said = [
        SaidTurn(n, Turn(group, "kind", tuple(clip() for _ in spans), (0.5,) * (len(spans) - 1), 0.5), tuple(spans))
        for n, (group, *spans) in enumerate(turns)
    ]
    came = [SaidIntrusion(n, Intrusion(kind, clip("sound"), 1.0), 1, span) for n, (kind, span) in enumerate(intrusions)]
    script = CallScript(0, "voice", line, (), 0)
    return Played(script, tuple(said), tuple(came), tuple(records), tuple(audible), 60.0)


# --- end of turn ------------------------------------------------------------------------------------------------------


def test_a_response_is_counted_from_the_end_of_the_last_word_to_the_decision():
    played = call(turns=[("finished", (1.0, 2.0))], records=[record(2.35, "turn.ended", text="Hi.", reason="silence")])
    row = score([played]).turns[0]
    assert (row.cut_off, row.talked_over, row.missed) == (False, False, False)
    assert row.delay == pytest.approx(0.35)
    assert (row.text, row.reason) == ("Hi.", "silence")


def test_a_decision_before_the_last_word_ends_cuts_the_caller_off():
    records = [record(2.4, "turn.ended", text="My name is", reason="silence"), record(4.3, "turn.ended", text="Peter.")]
    played = call(turns=[("unfinished", (1.0, 2.0), (3.0, 4.0))], records=records)
    row = score([played]).turns[0]
    assert (row.cut_off, row.talked_over) == (True, False)
    assert row.delay == pytest.approx(0.3)
    assert row.text == "My name is"


@pytest.mark.parametrize("continues", [True, False])
def test_a_turn_that_was_cut_off_is_mended_when_both_halves_are_answered_as_one(continues):
    records = [record(2.4, "turn.ended", continues=False), record(4.3, "turn.ended", continues=continues)]
    assert score([call(turns=[("unfinished", (1.0, 2.0), (3.0, 4.0))], records=records)]).turns[0].mended is continues


def test_an_agent_that_is_heard_after_a_wrong_decision_talks_over_the_caller():
    records = [record(2.4, "turn.ended"), record(4.3, "turn.ended")]
    turns = [("unfinished", (1.0, 2.0), (3.0, 4.0))]
    assert score([call(turns=turns, records=records, audible=[(2.8, 3.2)])]).turns[0].talked_over
    assert not score([call(turns=turns, records=records, audible=[(0.0, 0.8), (4.5, 6.0)])]).turns[0].talked_over


@pytest.mark.parametrize(
    ("decided", "missed", "late"),
    [((), True, False), ((5.1,), True, False), ((3.6,), False, True), ((2.9,), False, False)],
)
def test_a_turn_that_nobody_takes_in_time_is_missed_and_one_taken_slowly_is_late(decided, missed, late):
    played = call(turns=[("finished", (1.0, 2.0))], records=[record(t, "turn.ended") for t in decided])
    turns = Figures.of("x", score([played])).turns
    assert (turns.missed == 1.0, turns.late == 1.0) == (missed, late)


def test_a_decision_in_the_midst_of_the_last_word_is_wrong_but_nothing_is_lost():
    played = call(turns=[("finished", (1.0, 2.0))], records=[record(1.97, "turn.ended")])
    row = score([played]).turns[0]
    assert row.cut_off
    assert not row.missed


def test_turns_are_not_taken_for_each_other():
    turns = [("finished", (1.0, 2.0)), ("finished", (5.0, 6.0))]
    rows = score([call(turns=turns, records=[record(6.5, "turn.ended")])]).turns
    assert [row.missed for row in rows] == [True, False]


def test_dictation_is_reported_apart():
    turns = [("finished", (1.0, 2.0)), ("dictated", (5.0, 6.0), (7.0, 8.0))]
    records = [record(2.5, "turn.ended"), record(6.4, "turn.ended"), record(8.4, "turn.ended")]
    figures = Figures.of("x", score([call(turns=turns, records=records)]))
    assert (figures.turns.count, figures.turns.cut_off) == (1, 0.0)
    assert figures.groups["dictated"].cut_off == 1.0


# --- interruptions ----------------------------------------------------------------------------------------------------

HEARD = record(8.0, "reply.audible", utterance=1)


def intrusion(kind, *records, audible=((8.0, 13.0),), length=1.0):
    played = call(intrusions=[(kind, (10.0, 10.0 + length))], records=[HEARD, *records], audible=audible)
    return score([played]).intrusions[0]


def test_an_interruption_that_cuts_the_agent_silences_it_at_once():
    row = intrusion("interruption", record(10.25, "barge_in", utterance=1), audible=[(8.0, 10.25)])
    assert row.silenced == pytest.approx(0.25)
    assert row.cancelled
    assert row.into == pytest.approx(2.0)
    assert row.talk_over == pytest.approx(0.25)


def test_an_agent_that_only_ducks_is_silenced_when_the_carrier_plays_the_quiet_audio():
    row = intrusion(
        "interruption",
        record(10.2, "reply.ducked", utterance=1),
        record(10.22, "media.sent", utterance=1, playout=10.34),
        record(10.6, "barge_in", utterance=1),
        record(10.61, "reply.ended", utterance=1),
        audible=[(8.0, 10.6)],
    )
    assert row.silenced == pytest.approx(0.34)
    assert row.talk_over == pytest.approx(0.34)
    assert row.cancelled


def test_an_interruption_that_the_agent_speaks_through_is_missed():
    figures = Figures.of("x", score([call(intrusions=[("interruption", (10.0, 11.0))], records=[HEARD])]))
    assert (figures.interruptions.missed, figures.interruptions.in_time) == (1.0, 0.0)


def test_one_of_two_interruptions_in_time_is_half():
    quick = call(intrusions=[("interruption", (10.0, 11.0))], records=[HEARD, record(10.3, "barge_in", utterance=1)])
    slow = call(intrusions=[("interruption", (10.0, 11.0))], records=[HEARD, record(10.4, "barge_in", utterance=1)])
    assert Figures.of("x", score([quick, slow])).interruptions.in_time == 0.5


def test_a_reply_that_was_over_when_the_sound_came_tells_nothing():
    over = record(9.5, "reply.ended", utterance=1)
    assert not score([call(intrusions=[("backchannel", (10.0, 11.0))], records=[HEARD, over])]).intrusions


# --- what should not interrupt ----------------------------------------------------------------------------------------


def test_a_backchannel_that_pauses_the_agent_disturbs_it_until_it_goes_on():
    row = intrusion(
        "backchannel",
        record(10.2, "reply.paused", utterance=1),
        record(10.9, "reply.resumed", utterance=1),
        record(10.9, "media.sent", utterance=1, playout=10.95),
        length=0.5,
    )
    assert (row.disturbed, row.cancelled) == (True, False)
    assert row.resumed == pytest.approx(0.45)


def test_a_backchannel_that_becomes_a_turn_is_counted():
    assert intrusion("backchannel", record(11.0, "turn.ended", text="Mm-hm.")).answered
    assert intrusion("backchannel", record(16.0, "turn.ended", text="Mm-hm.")).answered, "after the reply"
    assert not intrusion("backchannel").answered


def test_a_backchannel_that_cancels_the_reply_is_counted():
    played = call(intrusions=[("backchannel", (10.0, 10.5))], records=[HEARD, record(10.3, "barge_in", utterance=1)])
    figures = Figures.of("x", score([played]))
    assert (figures.backchannels.cancelled, figures.backchannels.disturbed) == (1.0, 1.0)
    assert figures.noises.count == 0


def test_a_reply_disturbed_while_the_caller_is_silent_was_disturbed_by_its_own_echo():
    echo = Line("echo", -65.0, 0.0, -18.0, 0.2)
    records = [
        *(HEARD, record(12.0, "reply.paused", utterance=1)),
        *(record(20.0, "reply.audible", utterance=2), record(20.3, "barge_in", utterance=2)),
    ]
    alone = Figures.of("x", score([call(turns=[("finished", (18.0, 19.5))], records=records, line=echo)])).alone
    assert alone == {"echo": (2, 0.5)}, "the second cut follows the caller's own words"


# --- the script and the line ------------------------------------------------------------------------------------------


def test_the_script_is_the_same_every_time_and_another_with_another_seed():
    def outline(seed):
        return [[(e.turn.pieces, e.turn.pauses, e.asks) for e in script.exchanges] for script in calls(seed)]

    assert outline(1) == outline(1)
    assert outline(1) != outline(2)


def test_a_fifth_of_the_turns_has_an_unfinished_beginning():
    groups = [e.turn.group for script in calls() for e in script.exchanges if e.turn.group != "dictated"]
    assert len(groups) >= 300
    assert groups.count("unfinished") / len(groups) == pytest.approx(0.2, abs=0.01)


def test_a_beginning_is_followed_by_the_rest_that_fits():
    pairs = {
        (e.turn.pieces[0].text, e.turn.pieces[1].text)
        for script in calls()
        for e in script.exchanges
        if e.turn.group == "unfinished"
    }
    assert ("My name is", "Peter Collins.") in pairs
    assert len(pairs) == 9


def test_what_is_dictated_was_asked_for():
    for script in calls():
        asked = [exchange.asks for exchange in script.exchanges]
        for before, exchange in zip(["", *asked], script.exchanges, strict=False):
            assert (exchange.turn.kind if exchange.turn.group == "dictated" else "") == before


def test_a_voice_ends_where_its_last_sound_does():
    ends = {clip.name: (clip.ends, len(clip.audio) / 8000) for clip in callers()}
    assert ends["bf_emma_16_yes"] == (0.51, pytest.approx(0.8, abs=0.01)), "this one has a long tail of silence"
    assert all(voice.begins < voice.ends <= len(voice.audio) / 8000 for voice in callers())


def test_the_line_carries_a_clip_to_the_sample_and_an_echo_of_the_agent():
    queue = PlayoutQueue()
    line = CallersLine(Line("echo", -90.0, 0.0, -20.0, 0.1), queue, 100.0, 0)
    start = line.next_start(100.2)
    assert start == pytest.approx(100.32)
    line.say(clip(seconds=0.05), start)
    queue.media(100.4, MULAW.encode(np.full(160, 8000, np.int16)))
    frames = [line(100.0 + 0.02 * n, b"\xff" * 160) for n in range(1, 40)]
    heard = np.concatenate([MULAW.decode(frame) for frame in frames]).astype(int)
    loud = np.flatnonzero(abs(heard - 1000) < 50)
    assert (loud[0], loud[-1]) == (2560, 2959)
    echo = np.flatnonzero(abs(heard - 800) < 40)
    assert (echo[0], echo[-1]) == (4000, 4159)
    assert line.played == [(pytest.approx(100.4), pytest.approx(100.42))]


# --- variants, tables, files ------------------------------------------------------------------------------------------


def test_a_variant_can_be_given_other_values():
    changed = variant("hasty:default+vad.min_silence=0.25+turns.resume=off")
    assert changed.vad.min_silence == 0.25
    assert not changed.turns.resume
    assert changed.name == "hasty"
    assert variant("default+turns.split=1").turns.split == 1.0


@pytest.mark.parametrize("spec", ["polite", "default+vad.loudness=3", "default+vad.min_silence"])
def test_a_variant_that_does_not_exist_is_refused(spec):
    with pytest.raises(ConfigurationError):
        variant(spec)


def test_variants_differ_from_each_other():
    settings = [(each.turns, each.vad, each.smart_turn) for each in VARIANTS.values()]
    others = [each for name, each in zip(VARIANTS, settings, strict=True) if name != DEFAULT]
    assert all(others.count(each) == 1 for each in others)


@pytest.fixture
def some_score():
    turns = [("finished", (1.0, 2.0)), ("unfinished", (20.0, 21.0), (22.0, 23.0))]
    records = [
        *(record(2.4, "turn.ended", text="A table.", reason="0.3 s of silence"), HEARD),
        *(record(10.25, "barge_in", utterance=1), record(10.25, "decision", what="cut", reason="caller said 'wait'")),
    ]
    return score([call(turns=turns, intrusions=[("interruption", (10.0, 11.0))], records=records)])


def test_every_event_is_a_row_of_the_details(tmp_path, some_score):
    write_details(tmp_path / "d.tsv", {"default": some_score})
    with (tmp_path / "d.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["event"] for row in rows] == ["finished", "unfinished", "interruption"]
    assert (rows[0]["outcome"], rows[0]["seconds"]) == ("fine", "0.400")
    assert "0.3 s of silence" in rows[0]["why"]
    assert rows[1]["what"] == "clip [0.50] clip"
    assert rows[1]["outcome"] == "missed"
    assert "wait" in rows[2]["why"]


def test_the_picture_and_the_tables_can_be_made_of_variants_with_and_without_figures(tmp_path, some_score):
    nothing = Figures.of("silent", score([call()]))
    figures = [Figures.of("a & b", some_score), nothing]
    assert math.isnan(nothing.turns.median)
    for table in tables(figures):
        assert all(len(row) == len(table.columns) for row in table.rows)
    write_picture(tmp_path / "p.svg", figures)
    words = [each.text for each in ET.parse(tmp_path / "p.svg").iter() if each.tag.endswith("text")]
    assert words.count("a & b") == 2
