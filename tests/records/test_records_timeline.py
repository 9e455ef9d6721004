"""The timeline is one page that holds everything, safely."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import talking
from recorded_call import LONG_REPLY, LONG_REPLY_HEARD, SORRY, RecordedCall, busy_call, clip

from callengine.journal import Record
from callengine.records.timeline import timeline_html, write_timeline

EMBEDDED = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def drawn(records: list[Record], **options: Any) -> Any:
    match = EMBEDDED.search(timeline_html(records, **options))
    assert match is not None
    return json.loads(match.group(1))


def test_the_page_needs_nothing_but_itself_and_the_recording_beside_it() -> None:
    page = timeline_html(busy_call())
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["recording.wav"]
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src 'none'" in page


def test_words_of_a_caller_are_never_markup() -> None:
    # given a caller, a model and a carrier that all say something nasty
    nasty = '</script><script>alert("1")</script><!-- <script> & \u2028 \ud800 \'"><img src=x onerror=alert(1)>'
    fields = ("text", "reason", "what", "said", "heard", "call_id", "carrier", "message")
    records = [
        Record(nasty, record.t, record.kind, {k: nasty if k in fields else v for k, v in record.data.items()})
        for record in busy_call()
    ]
    # when
    clean, page = timeline_html(busy_call()), timeline_html(records)
    # then the page has the same elements as any other, and the words are still all there as data
    assert re.findall(r"<[a-zA-Z/!][^>]*", page) == re.findall(r"<[a-zA-Z/!][^>]*", clean)
    data = drawn(records)
    assert data["call"]["call_id"] == nasty
    assert data["transcripts"][0]["text"] == nasty


def test_a_file_is_written_even_with_half_a_surrogate_in_it(tmp_path: Path) -> None:
    call = RecordedCall()
    call.note(1.0, "decision", what="cut", reason="half a \ud83d smiley")
    write_timeline(call.ends(2.0), tmp_path / "timeline.html")
    page = (tmp_path / "timeline.html").read_text(encoding="utf-8")
    assert "smiley" in page
    assert page == timeline_html(call.records).replace("\ud83d", "?")


def test_waveforms_are_envelopes_of_ten_milliseconds() -> None:
    call = RecordedCall()
    speech = clip("af_nova_15_long")
    call.agent_speaks(0.5, 1, 0, speech, "We are a group", heard="We are", cut_at=1.0)
    data = drawn(call.ends(2.0))
    assert data["step"] == 0.01
    caller = np.frombuffer(b64decode(data["caller"]), np.int8).reshape(-1, 2)
    assert len(caller) == 200
    assert (caller[:, 0] <= caller[:, 1]).all()
    heard = np.concatenate([np.frombuffer(b64decode(part["heard"]), np.int8).reshape(-1, 2) for part in data["agent"]])
    assert len(heard) == 50
    loudest = int(np.argmax(np.abs(speech[:4000]))) // 80
    assert np.abs(heard.astype(int)).max(axis=1).argmax() == loudest


def test_audio_that_a_clear_threw_away_is_drawn_apart() -> None:
    call = RecordedCall()
    call.agent_speaks(0.5, 1, 0, clip("af_nova_15_long"), "We are a group", heard="We are", cut_at=1.03)
    data = drawn(call.ends(2.0))
    lost = [part for part in data["agent"] if "lost" in part]
    assert lost[0]["lost_from"] == pytest.approx(1.03)
    # 0.2 s of lead, in slices of 0.1 s: at 1.03 s, everything up to 1.3 s had been sent
    assert sum(len(b64decode(part["lost"])) // 2 for part in lost) == 27
    (reply,) = data["replies"]
    assert (reply["from"], reply["to"]) == (0.5, 1.03)
    assert reply["sent_to"] == pytest.approx(1.3)
    assert data["clears"] == [{"t": 1.03, "utterance": 1, "position": 4240}]


def test_the_agents_words_lie_along_its_audio_and_the_unheard_ones_apart() -> None:
    reply = drawn(busy_call())["replies"][1]
    assert " ".join(word["word"] for word in reply["words"]) == LONG_REPLY
    assert " ".join(word["word"] for word in reply["words"] if word["heard"]) == LONG_REPLY_HEARD
    times = [word["t"] for word in reply["words"]]
    assert times == sorted(times)
    assert all(reply["from"] <= word["t"] < reply["to"] for word in reply["words"] if word["heard"])
    assert all(reply["to"] <= word["t"] < reply["sent_to"] for word in reply["words"] if not word["heard"])


def test_everything_else_that_it_draws() -> None:
    data = drawn(busy_call())
    first = data["turns"][0]
    assert first["caller"] == SORRY
    assert [(stage["name"], stage["ms"]) for stage in first["stages"]] == [
        ("final", 460.0),
        ("first token", 550.0),
        ("first audio", 710.0),
        ("audible", 800.0),
    ]
    (cut,) = data["barge_ins"]
    assert (cut["silence_ms"], cut["trigger"]) == (220.0, "speech")
    assert {flag["what"] for flag in data["flags"]} >= {"cut", "flow", "go on", "stt ready", "turn 1"}
    assert [(round(key["t"], 1), key["digit"]) for key in data["keys"]] == [(14.2, "•")]
    assert [item["final"] for item in data["transcripts"]].count(True) == 4
    assert [item["final"] for item in data["transcripts"]].count(False) >= 4
    assert {mark["status"] for mark in data["marks"]} == {"played", "cleared"}
    assert [round(part["from"], 1) for part in data["speech"]] == [2.9, 9.2, 13.0, 14.7]
    assert max(p for _, p in data["vad"]) > 0.9
    assert data["vad"][0][0] == pytest.approx(0.032, abs=0.001)


def test_a_pause_inside_speech_is_one_and_the_one_that_ends_it_is_not() -> None:
    call = RecordedCall()
    call.note(1.2, "speech.started", utterance=1, onset=1.0)
    call.note(2.2, "speech.paused", utterance=1, since=2.0)
    call.note(2.5, "speech.resumed", utterance=1)
    call.note(3.2, "speech.paused", utterance=1, since=3.0)
    call.note(3.4, "speech.stopped", utterance=1, ended=3.0)
    (part,) = drawn(call.ends(5.0))["speech"]
    assert part == {"from": 1.0, "to": 3.0, "known": 1.2, "pauses": [{"from": 2.0, "to": 2.5}]}


def test_a_journal_without_audio_is_drawn_without_waveforms() -> None:
    data = drawn(busy_call(audio=False))
    assert (data["caller"], data["agent"], data["vad"]) == ("", [], [])
    assert len(data["replies"]) == 4
    assert data["marks"]


def test_the_thresholds_are_those_it_is_told() -> None:
    assert drawn(busy_call(audio=False))["thresholds"] == [0.5, 0.35]
    assert drawn(busy_call(audio=False), thresholds=(0.7, 0.4))["thresholds"] == [0.7, 0.4]


def test_a_journal_that_breaks_off_is_drawn_as_far_as_it_goes() -> None:
    records = [record for record in busy_call() if record.t < 8.0]
    assert drawn(records)["call"]["ended_by"] is None
    assert drawn([])["end"] == 0


async def test_it_draws_how_turns_were_taken(call_lab) -> None:
    books = await talking.busy_call(call_lab)
    data = drawn(list(books))
    carried_on, cut = talking.reason(books, "carry on"), talking.reason(books, "cut")
    assert [(soft["how"], soft["then"], soft["why"]) for soft in data["softened"]][:2] == [
        ("pause", "carry on", carried_on),
        ("pause", "cut", cut),
    ]
    assert [(alarm["backchannel"], alarm["reason"]) for alarm in data["alarms"]] == [(True, carried_on)]
    assert [guess["fate"] for guess in data["guesses"]][:3] == ["right", "taken back", "right"]
    assert [key["digit"] for key in data["keys"]] == ["•"] * 5
    assert [(end["turn"], end["keyed"], end["continues"], end["guessed"]) for end in data["ends"]] == [
        (1, False, False, True),
        (2, False, False, True),
        (3, True, False, False),
        (4, False, False, True),
        (5, False, True, False),
    ]
    assert [end["reason"] for end in data["ends"]] == [record.data["reason"] for record in books.of("turn.ended")]
    (quiet,) = [item for item in data["transcripts"] if item["aside"]]
    assert (quiet["text"], quiet["aside"]) == ("Mm-hm.", "backchannel")
    assert quiet["why"] == talking.reason(books, "no turn: backchannel")
    first = data["barge_ins"][0]
    assert (first["silence_ms"], first["reason"]) == (200.0, cut)
    assert [turn["fate"] for turn in data["turns"]] == ["cut", "", "withdrawn", ""]
    assert [note["reason"] for note in data["notes"]] == [carried_on]


async def test_what_has_its_own_place_is_no_flag(call_lab) -> None:
    flags = [flag["what"] for flag in drawn(list(await talking.busy_call(call_lab)))["flags"]]
    assert [what for what in flags if not what.endswith("ready")] == [
        "turn 1",
        "cut",
        "turn 2",
        "turn 3: keys",
        "turn 4",
        "cut",
        "turn 5, with 4",
        "ask whether the caller is there",
        "ended by caller",
    ]


async def test_no_word_lies_in_a_pause(call_lab) -> None:
    data = drawn(list(await talking.busy_call(call_lab)))
    pause = data["softened"][0]
    reply = next(reply for reply in data["replies"] if reply["said"] == talking.HOURS)
    times = [word["t"] for word in reply["words"] if word["heard"]]
    assert times == sorted(times)
    assert not [t for t in times if pause["start"] < t < pause["end"]]
    assert any(t < pause["start"] for t in times)
    assert any(t > pause["end"] for t in times)


def test_verdicts_and_hints_are_points() -> None:
    call = RecordedCall()
    call.note(1.0, "turn.verdict", utterance=1, probability=0.71)
    call.note(1.5, "turn.hint", utterance=1, hint="resumed")
    call.note(2.0, "turn.hint", utterance=1, hint="end")
    assert drawn(call.ends(3.0))["verdicts"] == [
        {"t": 1.0, "probability": 0.71, "hint": ""},
        {"t": 1.5, "probability": 0.0, "hint": "resumed"},
        {"t": 2.0, "probability": 1.0, "hint": "end"},
    ]


def test_a_wrong_guess_is_no_reply() -> None:
    call = RecordedCall()
    call.note(1.0, "decision", what="guess", reason="a pause behind a whole sentence: 'Yes'")
    call.note(1.0, "reply.started", turn=0, utterance=1)
    call.note(1.2, "decision", what="take back the guess", reason="the caller goes on")
    call.note(1.2, "decision", what="drop", reason="it answers a wrong guess")
    about = {"said": "Fine.", "heard": "", "complete": False, "interrupted_by": "caller", "certainty": "clock"}
    call.note(1.2, "reply.ended", turn=0, utterance=1, **about)
    data = drawn(call.ends(2.0))
    assert data["replies"] == []
    (guess,) = data["guesses"]
    assert (guess["from"], guess["to"], guess["fate"], guess["why"]) == (1.0, 1.2, "taken back", "the caller goes on")
    assert [flag["what"] for flag in data["flags"]] == ["ended by agent"]


def test_the_pages_script_knows_every_part_of_its_data() -> None:
    page = timeline_html(busy_call())
    for name in drawn(busy_call()):
        assert f"data.{name}" in page
