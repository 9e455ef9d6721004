"""``callengine demo``: one whole phone call, seen, checked, and written down."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import attrs
import trio

from callengine.cleanup import single
from callengine.cli.engine_process import EngineFailed, EngineProcess, engine_process
from callengine.cli.journal_tail import Delayed, JournalTail
from callengine.cli.live_view import View, open_view
from callengine.cli.main import FAILED, OK
from callengine.cli.scene import Scene
from callengine.errors import MissingExtra
from callengine.journal import Record, read_journal
from callengine.providers.local.weights import local_available
from callengine.records.costs import costs_of
from callengine.records.latency import format_table, latency_table
from callengine.records.prices import PriceTable
from callengine.records.recording import write_recording
from callengine.records.timeline import write_timeline
from callengine.records.transcript import write_transcript
from callengine.testing.demo.call import CallWentWrong, Dialled, play_call
from callengine.testing.demo.expectations import check_call
from callengine.testing.demo.figures import courtesies

TARGET = "callengine.testing.demo.agent:engine"

REDRAW = 0.08
"""Seconds between two pictures."""
LAST_RECORDS = 5.0
"""Seconds that the end of the journal may take to reach the disk."""

FILES = {
    "recording.wav": "the call as the caller heard it: left the caller, right the agent",
    "transcript.json": "who said what, and what of it was heard",
    "timeline.html": "the whole call as a picture: open it in a browser",
    "journal.jsonl": "everything that happened and was decided: the others are made of it",
}


@attrs.frozen
class _Played:
    """A call that was played: its records, and what went wrong, if anything did."""

    records: list[Record]
    trouble: str | None


def demo(output: Path, *, plain: bool = False, quiet: bool = False) -> int:
    """Play the demo call and write what is left of it into ``output``; returns the exit status."""
    view = open_view(plain=plain, quiet=quiet)
    try:
        missing = local_available()
        if missing:
            raise MissingExtra("the demo", "demo", ", ".join(missing))
        output.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (output / name).unlink(missing_ok=True)
        played = trio.run(_play, output, view)
    except (EngineFailed, MissingExtra, OSError) as error:
        view.close()
        view.tell(f"callengine: {error}", "bad")
        return FAILED
    except BaseExceptionGroup as group:
        raise single(group) from None
    finally:
        view.close()
    return _conclude(played, output, view)


async def _play(output: Path, view: View) -> _Played:
    directory = Path(tempfile.mkdtemp(prefix=".engine-", dir=output))
    try:
        view.loading("Python", 0.0)
        arguments = ["--insecure", "--port", "0", "--journal", str(directory)]
        async with engine_process(TARGET, arguments, view.loading) as engine:
            view.tell(f"the engine listens on port {engine.port}, in process {engine.process.pid}", "dim")
            dialled = Dialled(engine.port)
            journal = directory / f"{dialled.call_id}.jsonl"
            trouble = await _call(dialled, journal, view)
            trouble = await _stop(engine) or trouble
        if not journal.exists():
            raise EngineFailed(engine.explain(trouble or "the engine wrote no journal"))
        os.replace(journal, output / "journal.jsonl")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return _Played(read_journal(output / "journal.jsonl"), trouble)


async def _call(dialled: Dialled, journal: Path, view: View) -> str | None:
    """Play the call, in view; returns what went wrong."""
    trouble = None
    async with trio.open_nursery() as nursery:
        seen = trio.Event()
        nursery.start_soon(_watch, journal, view, seen)
        try:
            await play_call(dialled)
        except CallWentWrong as error:
            trouble = str(error)
        with trio.move_on_after(LAST_RECORDS):
            await seen.wait()
        nursery.cancel_scope.cancel()
    view.close()
    return trouble


async def _watch(journal: Path, view: View, seen: trio.Event) -> None:
    """Show the call until its last record has been seen."""
    tail, scene, time = JournalTail(journal), Scene(), Delayed()
    while not scene.over:
        for record in tail.read():
            scene.feed(record)
        if scene.newest:
            view.show(scene, scene.newest if scene.over else time.follow(scene.newest))
        await trio.sleep(REDRAW)
    seen.set()


async def _stop(engine: EngineProcess) -> str | None:
    try:
        await engine.stop()
    except EngineFailed as error:
        return str(error)
    return None


def _conclude(played: _Played, output: Path, view: View) -> int:
    """Say how it went, and write the files."""
    view.tell()
    checks = check_call(played.records)
    for check in checks:
        if check.held:
            view.tell(f"  ✓ {check.expected}", "good")
        else:
            view.tell(f"  ✗ {check.expected}: {check.found}", "bad")
    view.tell()
    view.tell("How long the caller waited, in milliseconds", "plain")
    view.tell(format_table(latency_table(played.records)))
    view.tell()
    view.tell("What it cost, at list prices", "plain")
    view.tell(f"  {costs_of(played.records, PriceTable.load())}")
    view.tell()
    view.tell("How turns were taken", "plain")
    for line in courtesies(played.records):
        view.tell(f"  {line}")
    view.tell()
    _write(played.records, output)
    for name, what in FILES.items():
        view.tell(f"  {output / name}  {what}", "plain")
    view.tell()
    failed = sum(not check.held for check in checks)
    if played.trouble is not None:
        view.tell(f"The call went wrong: {played.trouble}", "bad")
    if failed:
        view.tell(f"{failed} of {len(checks)} expectations did not hold.", "bad")
    if failed or played.trouble is not None:
        return FAILED
    view.tell(f"The call went as it should: {len(checks)} of {len(checks)} expectations held.", "head")
    return OK


def _write(records: list[Record], output: Path) -> None:
    write_recording(records, output / "recording.wav")
    write_transcript(records, output / "transcript.json")
    write_timeline(records, output / "timeline.html")
