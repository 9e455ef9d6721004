"""The demo, whole: the real models, the real sockets, an engine in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from callengine.audio.wav import read_wav
from callengine.journal import read_journal


def demo(*arguments: str, cwd: Path, code: str | None = None) -> subprocess.CompletedProcess[str]:
    how = ["-c", code] if code is not None else ["-m", "callengine", "demo", *arguments]
    return subprocess.run([sys.executable, *how], cwd=cwd, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.models
def test_the_demo_call(tmp_path: Path) -> None:
    # given leftovers of an earlier call
    written = tmp_path / "demo-call"
    written.mkdir()
    (written / "recording.wav").write_bytes(b"old")

    # when the demo is played, with nothing around it that is a terminal
    played = demo(cwd=tmp_path)

    # then every expectation held, and was said so
    assert played.returncode == 0, played.stdout + played.stderr
    assert played.stdout.count("✓") == 20
    assert "✗" not in played.stdout
    assert "starting the engine:  67% voice" in played.stdout
    assert "caller  Sorry, actually" in played.stdout
    assert "[backchannel]" in played.stdout
    assert "agent   (paused for" in played.stdout
    assert "barge-in" in played.stdout
    for line in (
        r"backchannel: carried on after \d+ ms",
        r"interruption: silent after \d+ ms",
        r"number: 10 digits in \d pieces, one turn",
    ):
        assert re.search(line, played.stdout)

    # and what is left of the call is in its folder, and nothing else
    names = {path.name for path in written.iterdir()}
    assert names == {"recording.wav", "transcript.json", "journal.jsonl", "timeline.html"}
    _check_journal(written / "journal.jsonl")
    _check_recording(written / "recording.wav")
    entries = json.loads((written / "transcript.json").read_text())["entries"]
    assert [entry["who"] for entry in entries[:2]] == ["agent", "caller"]
    turns = [entry["turn"] for entry in entries if entry["who"] == "caller"]
    assert sorted(turn for turn in turns if turn is not None) == list(range(1, 8))
    assert turns.count(None) == 1  # the backchannel
    assert [entry["interrupted_by"] for entry in entries if entry["who"] == "agent"].count("caller") == 1
    page = (written / "timeline.html").read_text()
    assert "Harrison" in page
    assert "https://" not in page


def _check_journal(path: Path) -> None:
    kinds = {record.kind for record in read_journal(path)}
    assert {"media.received", "media.sent", "vad.probability", "clear.sent", "mark.echoed", "call.ended"} <= kinds


def _check_recording(path: Path) -> None:
    """Left the caller, right the agent; nothing of the agent sounds behind the clear."""
    import wave

    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 8000)
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert len(both) / 8000 < 90
    records = read_journal(path.with_name("journal.jsonl"))
    barge_in = next(record for record in records if record.kind == "barge_in")
    silenced = next(record for record in records if record.kind == "clear.sent" and record.t >= barge_in.data["onset"])
    cut = round(silenced.t * 8000)
    caller, agent = both[:, 0].astype(float), both[:, 1].astype(float)
    assert np.abs(agent[cut - 4000 : cut]).max() > 1000
    assert np.abs(agent[cut + 80 : cut + 8000]).max() < 50  # until the new answer, over a second later
    assert np.abs(caller[cut : cut + 8000]).max() > 1000
    assert read_wav(path)[1] == 8000


def test_the_demo_says_what_is_not_installed(tmp_path: Path) -> None:
    code = "import sys; sys.modules['hibari'] = None\nfrom callengine.cli.main import main; sys.exit(main(['demo']))"
    played = demo(cwd=tmp_path, code=code)
    assert played.returncode == 1
    assert "pip install 'callengine[demo]'" in played.stdout
    assert not (tmp_path / "demo-call").exists()


def test_an_engine_that_does_not_start_is_explained(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from callengine.cli import demo, main\n"
        "demo.TARGET = 'callengine.testing.demo.agent:nobody'\n"
        "sys.exit(main.main(['demo', '--quiet']))"
    )
    played = demo(cwd=tmp_path, code=code)
    assert played.returncode == 1
    assert "the engine did not start (status 2)" in played.stdout
    assert "has no 'nobody'" in played.stdout
    assert list((tmp_path / "demo-call").iterdir()) == []


def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "callengine", "demo", "--plain"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        assert demo.stdout is not None
        engine = next(int(line.split()[-1]) for line in demo.stdout if "in process" in line)
        demo.send_signal(signal.SIGINT)
        said = demo.stdout.read()
        assert demo.wait(20) == 130
    assert "Traceback" not in said
    assert list((tmp_path / "demo-call").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(engine, 0)
