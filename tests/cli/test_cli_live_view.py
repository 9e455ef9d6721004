"""The live view: a scene made of records, and how it looks on a terminal and in a pipe."""

from __future__ import annotations

import json
from base64 import b64encode
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from callengine.cli.journal_tail import Delayed, JournalTail
from callengine.cli.live_view import PlainView, QuietView, open_view, picture
from callengine.cli.scene import Scene
from callengine.journal import Record

LOUD, QUIET = b64encode(b"\x10" * 1600).decode(), b64encode(b"\xff" * 1600).decode()
"""0.2 s of mu-law at 8 kHz."""


def scene(*records: tuple[float, str, dict[str, Any]]) -> Scene:
    made = Scene()
    for t, kind, data in records:
        made.feed(Record("CA1", t, kind, data))
    return made


START = (0.0, "call.started", {"encoding": "mulaw", "sample_rate": 8000})
GREETED = {"turn": 0, "utterance": 1, "said": "Good evening! How can I help?", "interrupted_by": None}


def heard(text: str, *, final: bool, t: float = 2.0) -> tuple[float, str, dict[str, Any]]:
    return (t, "transcript", {"text": text, "final": final, "utterance": 1})


def drawn(made: Scene, at: float, *, width: int = 100, height: int = 40) -> list[str]:
    console = Console(width=width, height=height, record=True, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(picture(made, at, width, height))
    return captured.get().splitlines()


def test_interim_words_are_replaced_until_the_final_ones() -> None:
    made = scene(START, heard("A table", final=False), heard("A table for two", final=False, t=2.5))
    assert [(said.text, said.settled) for said in made.said] == [("A table for two", False)]

    made.feed(Record("CA1", 3.0, "transcript", {"text": "A table for two.", "final": True, "utterance": 1}))
    assert [(said.text, said.settled) for said in made.said] == [("A table for two.", True)]


def test_words_that_came_to_nothing_go_away() -> None:
    assert scene(START, heard("Uh", final=False), heard("", final=True)).said == []


def test_an_answer_tells_how_long_the_caller_waited_and_what_he_cut_off() -> None:
    made = scene(
        START,
        (2.0, "turn.ended", {"turn": 1, "speech_ended": 1.5}),
        (2.25, "reply.audible", {"utterance": 7}),
        (3.0, "barge_in", {"utterance": 7, "turn": 1, "onset": 2.8, "trigger": "speech"}),
        (3.0, "reply.ended", {**GREETED, "turn": 1, "utterance": 7, "heard": "Good evening!"}),
    )
    (said,) = made.said
    assert (said.text, said.unheard, said.waited_ms) == ("Good evening!", "How can I help?", 750)
    assert made.cuts == [2.8]


BACKCHANNEL = (2.2, "decision", {"what": "no turn: backchannel", "reason": "said while the agent speaks: 'Okay.'"})


def test_a_backchannel_shows_that_the_agent_carries_on_and_stands_behind_its_words() -> None:
    # given words of the caller into the agent's
    made = scene(
        START,
        (0.5, "reply.text", {"utterance": 1, "turn": 0, "text": GREETED["said"]}),
        heard("Okay.", final=True),
        BACKCHANNEL,
    )
    assert [(said.who, said.text, said.aside, said.reason, said.settled) for said in made.said] == [
        ("agent", GREETED["said"], False, "", False),
        ("caller", "Okay.", True, "backchannel", False),
    ]

    # when the agent has said everything, then both are settled
    made.feed(Record("CA1", 4.0, "reply.ended", {**GREETED, "heard": GREETED["said"]}))
    assert [said.settled for said in made.said] == [True, True]


def test_a_pause_and_why_the_agent_carried_on_have_a_line() -> None:
    # given a reply that is paused
    made = scene(START, (0.5, "reply.text", {"utterance": 1, "turn": 0, "text": GREETED["said"]}))
    made.feed(Record("CA1", 1.0, "reply.paused", {"utterance": 1, "position": 4000}))
    assert made.hushed == "paused"
    assert any("‖" in line for line in drawn(made, 1.2))

    # when it goes on
    made.feed(Record("CA1", 1.5, "decision", {"what": "carry on", "reason": "backchannel 'Okay.'"}))
    made.feed(Record("CA1", 1.5, "reply.resumed", {"utterance": 1, "position": 3900, "repeated_ms": 12.5}))

    # then
    assert made.hushed == ""
    assert not any("‖" in line for line in drawn(made, 1.6))
    (said,) = [said for said in made.said if said.aside]
    assert (said.who, said.at, said.text, said.reason) == ("agent", 1.0, "paused for 0.5 s", "backchannel 'Okay.'")


def test_a_ducked_reply_that_is_cut_is_not_hushed_any_more_and_says_why() -> None:
    made = scene(
        START,
        (0.5, "reply.text", {"utterance": 1, "turn": 0, "text": GREETED["said"]}),
        (1.0, "reply.ducked", {"utterance": 1}),
        (1.5, "decision", {"what": "cut", "reason": "caller said 'wait', which stops"}),
        (1.5, "reply.ended", {**GREETED, "heard": "Good evening!", "interrupted_by": "caller"}),
    )
    (said,) = made.said
    assert (made.hushed, said.unheard, said.reason) == ("", "How can I help?", "caller said 'wait', which stops")


KEYS = [(1.0 + number / 5, "dtmf", {"digit": "•"}) for number in range(3)]
KEYED = {"turn": 1, "utterance": None, "text": "••", "speech_ended": None, "keyed": True, "reason": "the terminator"}


def test_keys_grow_into_an_entry(capsys: pytest.CaptureFixture[str]) -> None:
    made = scene(START, *KEYS)
    assert [(said.text, said.keyed, said.settled) for said in made.said] == [("•••", True, False)]

    made.feed(Record("CA1", 1.5, "turn.ended", KEYED))
    assert [(said.text, said.settled) for said in made.said] == [("••", True)]
    assert any("•• (keyed in)" in line for line in drawn(made, 2.0))
    PlainView().show(made, 2.0)
    assert capsys.readouterr().out == "0:01.0  caller  •• (keyed in)\n"


def test_an_entry_that_is_begun_again_and_the_next_one_are_apart() -> None:
    made = scene(START, *KEYS, (2.0, "decision", {"what": "begin the entry again", "reason": "the clear key came"}))
    assert made.said == []
    for record in (*KEYS, (3.0, "turn.ended", KEYED), (4.0, "dtmf", {"digit": "•"})):
        made.feed(Record("CA1", *record))
    assert [said.text for said in made.said] == ["••", "•"]


def test_what_the_agent_says_unasked_tells_why(capsys: pytest.CaptureFixture[str]) -> None:
    made = scene(
        START,
        (9.0, "decision", {"what": "ask whether the caller is there", "reason": "the caller was silent for 9.0 s"}),
        (9.0, "reply.text", {"utterance": 2, "turn": 1, "text": "Still there?"}),
        (9.1, "reply.audible", {"utterance": 2}),
        (9.9, "reply.ended", {**GREETED, "utterance": 2, "said": "Still there?", "heard": "Still there?"}),
        (12.0, "reply.text", {"utterance": 3, "turn": 1, "text": "Good."}),
        (12.1, "reply.audible", {"utterance": 3}),
        (12.9, "reply.ended", {**GREETED, "utterance": 3, "said": "Good.", "heard": "Good."}),
    )
    PlainView().show(made, 13.0)
    assert capsys.readouterr().out.splitlines() == [
        "0:09.0  agent   Still there? [the caller was silent for 9.0 s]",
        "0:12.0  agent   Good.",
    ]


def test_a_reply_that_nobody_heard_leaves_no_line() -> None:
    made = scene(
        START,
        (1.0, "reply.text", {"utterance": 2, "turn": 0, "text": "Fine."}),
        (1.2, "reply.ended", {**GREETED, "utterance": 2, "said": "Fine.", "heard": "", "interrupted_by": "caller"}),
    )
    assert made.said == []


def test_a_reply_that_was_dropped_keeps_no_line_waiting() -> None:
    dropped = {**GREETED, "said": "", "heard": ""}
    made = scene(
        START,
        (0.5, "reply.text", {"utterance": 1, "turn": 0, "text": GREETED["said"]}),
        heard("A table.", final=True),
        (2.5, "reply.ended", dropped),
    )
    assert [(said.text, said.settled) for said in made.said] == [("A table.", True)]


def test_the_end_of_the_call_settles_every_line() -> None:
    made = scene(
        START,
        (0.5, "reply.text", {"utterance": 1, "turn": 0, "text": GREETED["said"]}),
        heard("A table", final=False),
        (2.5, "call.ended", {"ended_by": "caller", "reason": "the caller hung up"}),
    )
    assert [said.settled for said in made.said] == [True, True]


def test_levels_follow_the_audio_and_a_clear_ends_the_agents() -> None:
    made = scene(
        START,
        (0.2, "media.received", {"position": 0, "audio": LOUD}),
        (0.4, "media.received", {"position": 1600, "audio": QUIET}),
        (0.5, "media.sent", {"utterance": 1, "position": 0, "samples": 1600, "playout": 0.5, "audio": LOUD}),
        (0.6, "clear.sent", {"utterance": 1, "position": 800}),
    )
    caller, agent = made.levels["caller"], made.levels["agent"]
    assert caller.loudest(0.0, 0.2) > -20
    assert caller.loudest(0.2, 0.4) < -100
    assert agent.loudest(0.5, 0.6) > -20
    assert agent.loudest(0.6, 1.0) == -120
    assert agent.loudest(0.0, 0.5) == -120


def test_the_picture_shows_both_sides_their_words_and_the_last_decision() -> None:
    made = scene(
        START,
        (0.2, "media.received", {"position": 0, "audio": LOUD}),
        (0.1, "reply.audible", {"utterance": 1}),
        (1.5, "reply.ended", {**GREETED, "heard": GREETED["said"]}),
        heard("A table", final=False),
        (2.0, "barge_in", {"utterance": 1, "turn": 0, "onset": 2.0, "trigger": "speech"}),
        (2.0, "decision", {"what": "cut", "reason": "caller has been speaking for 200 ms"}),
    )
    picture_lines = drawn(made, 2.1)
    seen = "\n".join(picture_lines)
    for part in ("caller", "agent", "Good evening!", "A table …", "▲ cut in", "caller has been speaking", "0:02.1"):
        assert part in seen
    assert any("█" in line for line in picture_lines)


@pytest.mark.parametrize(("width", "height"), [(40, 12), (80, 24), (200, 60)])
def test_the_picture_fits_the_terminal(width: int, height: int) -> None:
    made = scene(START)
    for number in range(60):
        text = "a line of words that is long enough to need more than one row " * 2
        made.feed(Record("CA1", number, "transcript", {"text": text, "final": True, "utterance": number}))
    picture_lines = drawn(made, 90.0, width=width, height=height)
    assert len(picture_lines) <= height
    assert max(map(len, picture_lines)) <= width


def test_words_cannot_steer_the_terminal() -> None:
    made = scene(START, heard("\x1b[2Jgone", final=True))
    assert "\x1b" not in "\n".join(drawn(made, 2.0))


def test_plain_lines_come_once_and_when_they_are_settled(capsys: pytest.CaptureFixture[str]) -> None:
    view, made = PlainView(), scene(START, heard("A table", final=False))
    view.show(made, 2.0)
    assert capsys.readouterr().out == ""

    made.feed(Record("CA1", 3.0, "transcript", {"text": "A table for two.", "final": True, "utterance": 1}))
    view.show(made, 3.0)
    view.show(made, 3.1)
    assert capsys.readouterr().out == "0:02.0  caller  A table for two.\n"


def test_quiet_shows_the_verdict_and_what_is_bad(capsys: pytest.CaptureFixture[str]) -> None:
    view = open_view(plain=False, quiet=True)
    assert isinstance(view, QuietView)
    view.loading("a model", 0.5)
    view.show(scene(START), 0.0)
    view.tell("detail")
    view.tell("broken", "bad")
    view.tell("verdict", "head")
    assert capsys.readouterr().out == "broken\nverdict\n"


def test_a_pipe_gets_plain_lines() -> None:
    assert isinstance(open_view(plain=False, quiet=False), PlainView)  # under pytest stdout is no terminal


def test_the_tail_reads_whole_lines_only(tmp_path: Path) -> None:
    file = tmp_path / "call.jsonl"
    tail = JournalTail(file)
    assert tail.read() == []

    first, second = (json.dumps({"v": 1, "t": t, "kind": "dtmf", "digit": "•"}) + "\n" for t in (0.5, 1.0))
    file.write_text(first + second[:9])
    assert tail.read() == [Record("", 0.5, "dtmf", {"digit": "•"})]
    assert tail.read() == []

    with file.open("a") as more:
        more.write(second[9:])
    assert tail.read() == [Record("", 1.0, "dtmf", {"digit": "•"})]


async def test_the_clock_runs_evenly_behind_records_that_come_in_batches(autojump_clock: MockClock) -> None:
    # given records that come every 0.25 s, and a look every 0.05 s
    clock, newest, shown = Delayed(), 0.0, []
    for look in range(60):
        await trio.sleep(0.05)
        if look % 5 == 0:
            newest = look * 0.05
        shown.append(clock.follow(newest))

    # then, once it knows how late they are, time neither stands still nor overtakes them
    steps = [later - earlier for earlier, later in pairwise(shown[10:])]
    assert steps == pytest.approx([0.05] * len(steps))
    assert shown[-1] <= newest
    assert shown[-1] > newest - 0.3
