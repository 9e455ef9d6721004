"""The writer: every record in its call's file, and no call ever harmed."""

# A test's clock must be among its own arguments, used or not; and looking at small files may block a test.

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from recorded_call import busy_call

from callengine.errors import ConfigurationError
from callengine.journal import Journal, JournalSettings, Record, read_journal
from callengine.records.files import CallFiles
from callengine.records.recording import render_recording
from callengine.records.writer import open_journal_writer


def started(call_id: str, **data: Any) -> Record:
    return Record(call_id, 0.0, "call.started", {"call_id": call_id, **data})


def fact(call_id: str, number: int) -> Record:
    return Record(call_id, number / 100, "decision", {"what": "test", "reason": str(number)})


def frame(call_id: str, number: int) -> Record:
    return Record(call_id, number / 50, "media.received", {"position": 160 * number, "audio": b"\xff" * 160})


def ended(call_id: str) -> Record:
    return Record(call_id, 99.0, "call.ended", {"ended_by": "caller", "reason": "hung up"})


def kinds(path: Path) -> list[str]:
    return [record.kind for record in read_journal(path)]


def numbers(path: Path) -> list[int]:
    return [int(record.data["reason"]) for record in read_journal(path) if record.kind == "decision"]


async def test_a_call_is_read_back_as_it_was_written(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    records = busy_call()
    async with open_journal_writer(tmp_path / "deep" / "er", inline=True) as writer:
        for record in records:
            writer.write(record)
    read = read_journal(tmp_path / "deep" / "er" / "CA0123.jsonl")
    assert [(record.call_id, record.kind) for record in read] == [(record.call_id, record.kind) for record in records]
    assert (render_recording(read)[0] == render_recording(records)[0]).all()


async def test_a_journal_is_watched(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with open_journal_writer(tmp_path, inline=True) as writer:
        journal = Journal("CA7", JournalSettings(), watchers=[writer.write])
        journal.note("call.started", call_id="CA7")
        await trio.sleep(1.5)
        journal.note("dtmf", digit="•")
    assert [(record.t, record.kind) for record in read_journal(tmp_path / "CA7.jsonl")] == [
        (0.0, "call.started"),
        (1.5, "dtmf"),
    ]


async def test_records_wait_for_the_interval_and_no_longer(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_journal_writer(tmp_path, interval=0.25, inline=True) as writer:
        writer.write(started("CA1"))
        await trio.sleep(0.2)
        writer.write(fact("CA1", 1))
        assert not list(tmp_path.iterdir())
        await trio.sleep(0.06)
        assert kinds(tmp_path / "CA1.jsonl") == ["call.started", "decision"]


async def test_a_full_batch_does_not_wait(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with open_journal_writer(tmp_path, interval=100, batch=10, inline=True) as writer:
        for number in range(25):
            writer.write(fact("CA1", number))
        await trio.sleep(1)
        assert numbers(tmp_path / "CA1.jsonl") == list(range(20))
        assert writer.waiting == 5
    assert numbers(tmp_path / "CA1.jsonl") == list(range(25))


async def test_it_sleeps_while_there_is_nothing_to_write(tmp_path: Path) -> None:
    class Steps(trio.abc.Instrument):
        count = 0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            self.count += task.name.endswith("JournalWriter._run")

    clock = trio.testing.MockClock()
    async with open_journal_writer(tmp_path, inline=True):
        await trio.testing.wait_all_tasks_blocked()
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        for _ in range(10):
            clock.jump(10.0)
            await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(steps)
    assert steps.count == 0


async def test_a_file_is_closed_when_its_call_has_ended(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with open_journal_writer(tmp_path, inline=True) as writer:
        for call_id in ("CA1", "CA2"):
            writer.write(started(call_id))
        await trio.sleep(1)
        assert writer.open_files == 2
        writer.write(ended("CA1"))
        await trio.sleep(1)
        assert writer.open_files == 1
        assert kinds(tmp_path / "CA1.jsonl") == ["call.started", "call.ended"]
    assert writer.open_files == 0


async def test_many_calls_are_kept_apart_and_in_order(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async def call(number: int) -> None:
        journal = Journal(f"CA{number}", JournalSettings(audio=True), watchers=[writer.write])
        journal.note("call.started", call_id=journal.call_id)
        for step in range(50):
            await trio.sleep(0.02)
            journal.note("media.received", position=160 * step, audio=b"\xff" * 160)
            journal.note("decision", what="test", reason=str(step))
        journal.note("call.ended", ended_by="caller", reason="hung up")

    async with open_journal_writer(tmp_path, inline=True) as writer:
        async with trio.open_nursery() as nursery:
            for number in range(120):
                nursery.start_soon(call, number)
        await trio.sleep(2)
        assert writer.open_files == writer.waiting == 0
    assert len(list(tmp_path.iterdir())) == 120
    for path in tmp_path.iterdir():
        assert numbers(path) == list(range(50))
        assert len(kinds(path)) == 102
    assert writer.dropped_audio == writer.dropped_facts == writer.lost == 0


async def test_too_much_audio_is_dropped_oldest_first_and_facts_are_kept(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    # given more records than fit, before the writer gets to run
    async with open_journal_writer(tmp_path, capacity=100, inline=True) as writer:
        for number in range(80):
            writer.write(fact("CA1", number))
            writer.write(frame("CA1", number))
        assert writer.waiting == 100
    # then all facts are there, with the newest audio, in order
    read = read_journal(tmp_path / "CA1.jsonl")
    assert numbers(tmp_path / "CA1.jsonl") == list(range(80))
    positions = [record.data["position"] // 160 for record in read if record.kind == "media.received"]
    assert positions == list(range(60, 80))
    assert (writer.dropped_audio, writer.dropped_facts) == (60, 0)


async def test_facts_are_dropped_last_and_audio_never_pushes_one_out(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_journal_writer(tmp_path, capacity=50, inline=True) as writer:
        for number in range(60):
            writer.write(fact("CA1", number))
        writer.write(frame("CA1", 0))
    assert numbers(tmp_path / "CA1.jsonl") == list(range(10, 60))
    assert (writer.dropped_audio, writer.dropped_facts) == (1, 10)


async def test_a_file_is_closed_though_its_call_ended_was_dropped(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_journal_writer(tmp_path, capacity=3, interval=0.25, inline=True) as writer:
        writer.write(started("CA1"))
        await trio.sleep(1)
        writer.write(ended("CA1"))
        for number in range(3):
            writer.write(fact("CA2", number))
        await trio.sleep(1)
        assert writer.open_files == 1  # that of CA2


@pytest.mark.parametrize(
    ("call_id", "name"),
    [
        ("CA_0-9", "CA_0-9"),
        ("../../etc/passwd", "______etc_passwd"),
        ("a/b\\c:d\x00e", "a_b_c_d_e"),
        ("..", "__"),
        ("", "call"),
        ("x" * 500, "x" * 120),
    ],
)
async def test_a_calls_id_never_leaves_the_directory(
    call_id: str, name: str, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_journal_writer(tmp_path / "journals", inline=True) as writer:
        writer.write(started(call_id))
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.jsonl")] == [Path("journals") / f"{name}.jsonl"]


async def test_an_id_that_was_used_before_gets_a_file_of_its_own(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    for _ in range(3):
        async with open_journal_writer(tmp_path, inline=True) as writer:
            writer.write(started("CA1"))
            writer.write(ended("CA1"))
            writer.write(started("CA1"))
            writer.write(ended("CA1"))
    assert len(list(tmp_path.iterdir())) == 6
    assert {path.name for path in tmp_path.iterdir()} >= {"CA1.jsonl", "CA1-2.jsonl", "CA1-6.jsonl"}
    for path in tmp_path.iterdir():
        assert kinds(path) == ["call.started", "call.ended"]


async def test_a_record_that_comes_late_goes_behind_the_others(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_journal_writer(tmp_path, inline=True) as writer:
        writer.write(started("CA1"))
        writer.write(ended("CA1"))
        await trio.sleep(1)
        writer.write(fact("CA1", 1))
    assert kinds(tmp_path / "CA1.jsonl") == ["call.started", "call.ended", "decision"]


async def test_a_file_that_cannot_be_written_harms_nobody(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    # given a name that cannot become a file: a dangling link into a directory that is not there
    (tmp_path / "CA1.jsonl").symlink_to(tmp_path / "nowhere" / "x")
    with caplog.at_level(logging.WARNING):
        async with open_journal_writer(tmp_path, inline=True) as writer:
            for number in range(3):
                writer.write(fact("CA1", number))
                writer.write(fact("CA2", number))
                await trio.sleep(1)
            writer.write(ended("CA1"))
    # then its records are counted, with one line in the log, and the other call has its journal
    assert (writer.failed_files, writer.lost) == (1, 4)
    assert [record.message.split(":")[0] for record in caplog.records] == ["the journal of call CA1 is given up"]
    assert numbers(tmp_path / "CA2.jsonl") == [0, 1, 2]
    assert writer.open_files == 0


async def test_a_full_disk_gives_up_that_file_and_closes_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "CA1.jsonl").symlink_to("/dev/full")
    async with open_journal_writer(tmp_path, inline=True) as writer:
        for number in range(3):
            writer.write(fact("CA1", number))
            writer.write(fact("CA2", number))
            await trio.sleep(1)
        assert writer.open_files == 1
        assert (writer.failed_files, writer.lost) == (1, 3)
    assert numbers(tmp_path / "CA2.jsonl") == [0, 1, 2]
    assert "No space left" in caplog.text


async def test_what_json_cannot_hold_gives_up_that_call_only(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_journal_writer(tmp_path, inline=True) as writer:
        writer.write(Record("CA1", 0.0, "decision", {"what": object(), "reason": ""}))
        writer.write(fact("CA2", 1))
        writer.write(Record("CA2", 1.0, "transcript", {"text": "half a \ud83d smiley", "final": True}))
    assert (writer.failed_files, writer.lost) == (1, 1)
    assert kinds(tmp_path / "CA2.jsonl") == ["decision", "transcript"]


async def test_what_waits_is_written_when_the_surroundings_are_cancelled(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    with trio.CancelScope() as scope:
        async with open_journal_writer(tmp_path, interval=100, inline=True) as writer:
            writer.write(started("CA1"))
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert kinds(tmp_path / "CA1.jsonl") == ["call.started"]
    assert writer.open_files == 0


async def test_an_error_of_the_body_comes_out_as_it_is(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async def body() -> None:
        async with open_journal_writer(tmp_path, inline=True) as writer:
            writer.write(started("CA1"))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await body()
    assert kinds(tmp_path / "CA1.jsonl") == ["call.started"]


async def test_records_after_the_end_are_counted_not_kept(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_journal_writer(tmp_path, inline=True) as writer:
        pass
    writer.write(fact("CA1", 1))
    writer.write(frame("CA1", 1))
    assert (writer.dropped_facts, writer.dropped_audio, writer.waiting) == (1, 1, 0)


async def test_with_threads_everything_is_written_and_the_loop_never_waits_for_the_disk(tmp_path: Path) -> None:
    threads = set()

    class Spy(CallFiles):
        def write(self) -> None:
            threads.add(threading.current_thread())
            super().write()

    async with open_journal_writer(tmp_path, batch=7) as writer:
        writer._files = Spy(tmp_path)
        for number in range(100):
            writer.write(fact("CA1", number))
            await trio.lowlevel.checkpoint()
    assert numbers(tmp_path / "CA1.jsonl") == list(range(100))
    assert threads
    assert threading.main_thread() not in threads


async def test_a_disk_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    released = threading.Event()

    class Stuck(CallFiles):
        def finish(self) -> None:
            released.wait()
            super().finish()

    start = trio.current_time()
    try:
        async with open_journal_writer(tmp_path, flush_timeout=3) as writer:
            writer._files = Stuck(tmp_path)
            writer.write(started("CA1"))
        assert trio.current_time() - start == pytest.approx(3)
        assert "not all on disk after 3 s" in caplog.text
    finally:
        released.set()


@pytest.mark.parametrize("name", ["capacity", "interval", "batch", "flush_timeout"])
async def test_numbers_that_make_no_sense_are_refused(name: str, tmp_path: Path) -> None:
    wrong: dict[str, Any] = {name: 0}
    with pytest.raises(ConfigurationError, match=name):
        async with open_journal_writer(tmp_path, **wrong):
            pass


async def test_a_directory_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be made"):
        async with open_journal_writer(tmp_path / "file" / "journals"):
            pass


def test_a_line_is_one_line_of_json(tmp_path: Path) -> None:
    files = CallFiles(tmp_path)
    files.hand_over([Record("CA1", 1.0, "transcript", {"text": "two\nlines", "final": True})])
    files.finish()
    (line,) = (tmp_path / "CA1.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["text"] == "two\nlines"
