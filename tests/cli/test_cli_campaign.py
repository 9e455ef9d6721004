"""``callengine campaign`` as a process: the list that comes in, the report that goes out, and Ctrl-C."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from served import Ran, environment, run

from callengine.cli.main import main

APP = '''
"""An engine that only dials: by its last digit a number is busy (7), rings (8), goes on (9), or is answered."""
import trio
from callengine import Agent, Engine
from callengine.outbound.outcomes import DialOutcome

class Call:
    def __init__(self, number):
        self.number, self.over = number, trio.Event()
        self.result = {"7": "busy", "8": "no answer"}.get(number[-1], "answered")
        if number[-1] not in "89":
            self.over.set()

    async def wait(self):
        with trio.move_on_after(0.3 if self.number[-1] == "9" else 60):
            await self.over.wait()
        return DialOutcome(
            result=self.result, reason="line 1", number=self.number, call_id="CA1", answered_by="human",
            message_left=False, started_at=0.0, ended_at=0.0, call=None,
        )

    def hang_up(self):
        print("hung up", self.number, flush=True)
        self.over.set()

class Dialler(Engine):
    async def serve(self, *, signals, progress, task_status):
        progress("a model", 1.0)
        self.over = trio.Event()
        task_status.started([])
        await self.over.wait()

    async def drain(self):
        print("drained", flush=True)
        self.over.set()

    async def dial(self, to, program=None, **options):
        print("dialled", to, options, flush=True)
        return Call(to)

engine = Dialler(Agent(greeting="Hello?"), port=0)
'''

ANNA, BERT, BUSY, RINGS, GOES_ON = (f"+150055500{n}" for n in ("01", "02", "07", "08", "09"))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def campaign(here: Path, people: str | bytes, *options: str, code: str | None = None) -> Ran:
    """Run it to its end, with these people, as fast as it goes."""
    (here / "people.csv").write_bytes(people if isinstance(people, bytes) else people.encode())
    arguments = ("campaign", "app:engine", "people.csv", "--per-second", "1000", *options)
    return run(*arguments, cwd=here, code=code)


def dialled(ran: Ran) -> list[str]:
    return [line.split()[1] for line in ran.output.splitlines() if line.startswith("dialled")]


def report(here: Path) -> list[tuple[str, ...]]:
    """A report's lines, without how long it took and when that was."""
    with (here / "out.csv").open(newline="") as file:
        return [tuple(row[:5]) for row in csv.reader(file)]


# --- the list and the report ------------------------------------------------------------------------------------------


def test_everybody_is_called_and_reported(here: Path) -> None:
    people = f"number\n{ANNA}\n{BUSY}\n+1 (500) 555-0002\n{ANNA}\n555\n"

    ran = campaign(here, people, "--report", "out.csv", "--attempts", "2", "--retry-after", "0.01")

    assert (ran.status, dialled(ran)) == (0, [ANNA, BUSY, BERT, BUSY])
    assert report(here) == [
        ("number", "result", "reason", "answered_by", "attempts"),
        (ANNA, "duplicate", "the same number as contact 1", "", "0"),
        ("555", "invalid", "not an international number: write it like +15005550001", "", "0"),
        (ANNA, "answered", "line 1", "human", "1"),
        (BERT, "answered", "line 1", "human", "1"),
        (BUSY, "busy", "line 1", "human", "2"),
    ]
    assert ran.output.splitlines()[-2:] == ["drained", "5 done, 2 answered, 1 busy, 1 duplicate, 1 invalid"]
    # and on the way it said how far it was, in lines, as this is no terminal
    assert "loading 100% a model" in ran.errors
    assert "calling 5/5, 0 live" in ran.errors
    assert "\x1b" not in ran.errors


@pytest.mark.parametrize(
    "people",
    [
        f"Name,Number,City\nAnna,{ANNA},\nBert,{BERT},York\n".encode(),
        f"\ufeffName;number;City;\r\nAnna;{ANNA}\r\n;;;\r\nBert;{BERT};York;x\r\n".encode(),
    ],
)
def test_the_other_columns_are_the_contacts_data(here: Path, people: bytes) -> None:
    ran = campaign(here, people)
    name = "Name"
    assert ran.output.splitlines()[:2] == [
        f"dialled {ANNA} { {'parameters': {name: 'Anna', 'City': ''}} }",
        f"dialled {BERT} { {'parameters': {name: 'Bert', 'City': 'York'}} }",
    ]


def test_those_in_the_report_are_not_called_again(here: Path) -> None:
    # given a run that ended in the middle of a line
    people = f"number\n{ANNA}\n{BERT}\n{GOES_ON}\n555\n"
    campaign(here, people, "--report", "out.csv")
    first = (here / "out.csv").read_bytes()
    assert first.endswith(b"\r\n")
    lines = first.decode().splitlines(keepends=True)
    (here / "out.csv").write_bytes("".join(lines[:-1]).encode() + f"{GOES_ON},answered".encode())

    # when it is run again
    again = campaign(here, people, "--report", "out.csv")

    # then only that one is called, and the report is whole
    assert dialled(again) == [GOES_ON]
    assert "2 of 4 are done already (out.csv)" in again.errors
    assert [row[:2] for row in report(here)[1:]] == [
        ("555", "invalid"),
        (ANNA, "answered"),
        (BERT, "answered"),
        (GOES_ON, "answered"),
        (GOES_ON, "answered"),
    ]


def test_a_dry_run_calls_nobody_and_says_what_it_would_do(here: Path) -> None:
    (here / "out.csv").write_text(
        f"number,result,reason,answered_by,attempts,seconds,ended\r\n{BERT},busy,,,3,1.0,x\r\n"
    )
    people = f"number\n{ANNA}\n{BERT}\n{ANNA}\n555\n{BUSY}\n"

    ran = campaign(here, people, "--dry-run", "--report", "out.csv", "--per-second", "0.5")

    assert (ran.status, dialled(ran)) == (0, [])
    assert ran.output.splitlines() == [
        f"not called: {ANNA!r}: the same number as contact 1",
        "not called: '555': not an international number: write it like +15005550001",
        "2 to call of 5; 1 are done already, 2 cannot be",
        "dialling each of them once takes at least 2 s",
    ]
    assert len(report(here)) == 2


def test_a_report_that_cannot_be_written_stops_dialling(here: Path) -> None:
    full = (
        "import sys\n"
        "from callengine.cli import contact_files\n"
        "from callengine.cli.main import main\n"
        "def write(self, result):\n"
        "    raise OSError(28, 'No space left on device')\n"
        "contact_files.Report.write = write\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    ran = campaign(here, f"number\n{ANNA}\n{GOES_ON}\n{BERT}\n", "--report", "out.csv", "--at-once", "1", code=full)
    assert (ran.status, dialled(ran)) == (1, [ANNA])
    assert "No space left on device" in ran.errors
    assert "Traceback" not in ran.errors


# --- options ----------------------------------------------------------------------------------------------------------


def test_every_option_is_used(here: Path) -> None:
    # given a campaign that only says how it was asked for
    show = (
        "import sys\n"
        "from callengine.cli import campaign\n"
        "from callengine.cli.main import main\n"
        "from callengine.outbound.results import CampaignReport\n"
        "async def run_campaign(engine, contacts, **options):\n"
        "    for name in ('on_result', 'progress', 'stop'):\n"
        "        del options[name]\n"
        "    print(engine.host, engine.port, engine.public_url)\n"
        "    print(options)\n"
        "    return CampaignReport(())\n"
        "campaign.run_campaign = run_campaign\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    listen = ("--host", "127.0.0.2", "--port", "8123", "--public-url", "https://voice.example.com")
    pace = ("--at-once", "7", "--per-second", "2.5", "--attempts", "4", "--retry-after", "30", "--hours", "9:00-20:30")
    call = ("--amd", "--voicemail", "Call us.", "--sender", "+15005550009")

    ran = campaign(here, "number\n", *listen, *pace, *call, code=show)
    plain = campaign(here, "number\n", code=show)

    assert ran.output.splitlines()[:2] == [
        "127.0.0.2 8123 https://voice.example.com",
        "{'at_once': 7, 'per_second': 2.5, 'attempts': 4, 'retry_after': 30.0,"
        " 'hours': (datetime.time(9, 0), datetime.time(20, 30)),"
        " 'amd': True, 'voicemail': 'Call us.', 'sender': '+15005550009'}",
    ]
    assert plain.output.splitlines()[1] == (
        "{'at_once': 5, 'per_second': 1000.0, 'attempts': 3, 'retry_after': 600.0, 'hours': None}"
    )


@pytest.mark.parametrize(
    ("people", "options", "status", "said"),
    [
        ("number\n", ("--hours", "9-20"), 2, "09:00-20:00"),
        ("number\n", ("--hours", "09:00-09:00"), 1, "hours"),
        ("number\n", ("--at-once", "0"), 1, "at_once"),
        ("number\n", ("--per-second", "0", "--dry-run"), 1, "per_second"),
        ("number\n", ("--retry-after", "-1"), 1, "retry_after"),
        ("number\n", ("--report", "no/such/folder.csv"), 1, "folder.csv cannot be written"),
        ("number\n", ("--report", "people.csv"), 1, "not a campaign's report"),
        ("phone,name\n", (), 1, "no column 'number' in its first line (there are: phone, name)"),
        ("", (), 1, "it is empty"),
        (b"number,name\n\xe9\n", (), 1, "is not UTF-8"),
    ],
)
def test_what_cannot_be_done_is_said_before_anybody_is_called(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    people: str | bytes,
    options: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    (here / "people.csv").write_bytes(people if isinstance(people, bytes) else people.encode())
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(here)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    try:
        ended: int | str | None = main(["campaign", "app:engine", "people.csv", *options])
    except SystemExit as exited:  # of argparse
        ended = exited.code
    finally:
        sys.modules.pop("app", None)
    output, errors = capsys.readouterr()
    assert (ended, output) == (status, "")
    assert said in errors
    assert "Traceback" not in errors


def test_files_and_engines_that_are_not_there_are_named(here: Path) -> None:
    without_list = run("campaign", "app:engine", "nobody.csv", cwd=here)
    assert (without_list.status, without_list.errors) == (
        1,
        "callengine: nobody.csv cannot be read: No such file or directory\n",
    )
    assert run("campaign", "nothing_like_that:engine", "nobody.csv", cwd=here).status == 2


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


@contextmanager
def under_way(here: Path, *numbers: str) -> Iterator[subprocess.Popen[str]]:
    """A campaign that has dialled the first of these, one at a time."""
    (here / "people.csv").write_text("\n".join(("number", *numbers)))
    options = ("--at-once", "1", "--report", "out.csv")
    process = subprocess.Popen(
        [sys.executable, "-m", "callengine", "campaign", "app:engine", "people.csv", *options],
        cwd=here,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(f"dialled {numbers[0]}")
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    assert any(text in line for line in process.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_lets_the_live_call_finish_and_calls_nobody_else(here: Path, number: signal.Signals) -> None:
    with under_way(here, GOES_ON, ANNA) as process:
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
    assert "no more calls are begun" in errors
    assert (process.returncode, output.splitlines()) == (130, ["drained", "1 done, 1 answered"])
    assert [row[:2] for row in report(here)[1:]] == [(GOES_ON, "answered")]


def test_a_second_ctrl_c_hangs_up(here: Path) -> None:
    with under_way(here, RINGS, ANNA) as process:
        process.send_signal(signal.SIGINT)
        until(process, "no more calls are begun")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert "hanging up" in errors
    assert process.returncode == 130
    assert f"hung up {RINGS}" in output
    assert "Traceback" not in errors
    assert report(here)[1:] == []  # who was not reached is called by the next run
