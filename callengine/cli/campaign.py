"""``callengine campaign``: call everybody on a list."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Mapping
from datetime import datetime, time
from functools import partial
from pathlib import Path
from typing import Any

import trio

from callengine.cleanup import single
from callengine.cli.contact_files import Report, read_contacts
from callengine.engine import Engine
from callengine.errors import CallEngineError, ConfigurationError
from callengine.outbound.campaign import run_campaign
from callengine.outbound.contacts import Contact, check_contacts
from callengine.outbound.plan import AT_ONCE, ATTEMPTS, PER_SECOND, RETRY_AFTER, CampaignPlan
from callengine.outbound.results import CampaignProgress, ContactResult

SHOWN = 20
"""Contacts that cannot be called and are named."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``campaign`` to the command line."""
    parser = commands.add_parser(
        "campaign",
        help="call everybody on a list",
        description="Serve an engine, and have it call everybody in a CSV file: its column 'number' says whom, the "
        "others are what the program may want to know of the person (call.parameters). Ctrl-C stops dialling and lets "
        "live calls finish; a second one hangs up. With a report that is there already, those in it are not called "
        "again.",
        epilog="example: callengine campaign app:engine people.csv --report called.csv",
    )
    parser.add_argument("engine", metavar="module:engine", help="the module, and the name of the Engine in it")
    parser.add_argument("contacts", type=Path, metavar="contacts.csv", help="whom to call")
    parser.add_argument(
        "--at-once", type=int, default=AT_ONCE, metavar="N", help="calls that may go on at once (%(default)s)"
    )
    parser.add_argument(
        "--per-second",
        type=float,
        default=PER_SECOND,
        metavar="R",
        help="calls that may be begun a second (%(default)s); the engine's own caps hold as well",
    )
    parser.add_argument(
        "--attempts", type=int, default=ATTEMPTS, metavar="N", help="calls to who is not reached, in all (%(default)s)"
    )
    parser.add_argument(
        "--retry-after", type=float, default=RETRY_AFTER, metavar="S", help="seconds between them (%(default)s)"
    )
    parser.add_argument("--hours", type=_hours, metavar="FROM-TO", help="call only then, as in 09:00-20:00 (any time)")
    parser.add_argument("--amd", action="store_true", help="ask the carrier who answers, and hang up on machines")
    parser.add_argument("--voicemail", metavar="TEXT", help="say this to machines, once they record")
    parser.add_argument("--sender", metavar="NUMBER", help="the number that is shown (the carrier's own)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write what became of each to this CSV file")
    parser.add_argument("--dry-run", action="store_true", help="check everything, and call nobody")
    parser.add_argument("--host", help="address to listen on (the engine's own default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on; 0 picks a free one (default: 8080)")
    parser.add_argument("--public-url", metavar="URL", help="how carriers reach this server: https://...")
    parser.add_argument("--verbose", action="store_true", help="log details")
    parser.set_defaults(run=_run)


def _hours(text: str) -> tuple[time, time]:
    begin, _, end = text.partition("-")
    try:
        return _clock(begin), _clock(end)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} are no hours: give them as in 09:00-20:00") from None


def _clock(text: str) -> time:
    return datetime.strptime(text.strip(), "%H:%M").time()


def _run(options: argparse.Namespace) -> int:
    from callengine.cli.main import FAILED, INTERRUPTED, OK, USAGE, one_blas_thread
    from callengine.cli.serve import refuse
    from callengine.cli.target import BadTarget, load_engine

    one_blas_thread()
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for chatty in ("httpx", "httpcore", "hypercorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        CampaignPlan(
            at_once=options.at_once,
            per_second=options.per_second,
            attempts=options.attempts,
            retry_after=options.retry_after,
            hours=options.hours,
        )  # said before anything is loaded
        engine = load_engine(options.engine)
        engine.configure(host=options.host, port=options.port, public_url=options.public_url)
        contacts = read_contacts(options.contacts)
        report = None if options.report is None else Report(options.report)
        if options.dry_run:
            _dry_run(contacts, report, options)
            return OK
        complete = trio.run(_campaign, engine, contacts, report, options)
    except BadTarget as error:
        return refuse(error, USAGE)
    except CallEngineError as error:
        return refuse(error, FAILED)
    except BaseExceptionGroup as group:
        alone = single(group)
        if isinstance(alone, CallEngineError):
            return refuse(alone, FAILED)
        if isinstance(alone, KeyboardInterrupt):
            return INTERRUPTED
        raise
    return OK if complete else INTERRUPTED


def _dry_run(contacts: list[Contact], report: Report | None, options: argparse.Namespace) -> None:
    left = contacts if report is None else report.left(contacts)
    checked = list(check_contacts(left))
    flaws = [entry for entry in checked if entry.flaw is not None]
    for entry in flaws[:SHOWN]:
        print(f"not called: {entry.number!r}: {entry.reason}")
    if len(flaws) > SHOWN:
        print(f"... and {len(flaws) - SHOWN} more")
    calls = len(checked) - len(flaws)
    print(f"{calls} to call of {len(contacts)}; {len(contacts) - len(left)} are done already, {len(flaws)} cannot be")
    print(f"dialling each of them once takes at least {max(calls - 1, 0) / options.per_second:.0f} s")


async def _campaign(
    engine: Engine, contacts: list[Contact], report: Report | None, options: argparse.Namespace
) -> bool:
    """Returns whether everybody was called who was to be called."""
    from callengine.cli.serve import ProgressBar

    left = contacts if report is None else report.left(contacts)
    if len(left) < len(contacts):
        print(f"{len(contacts) - len(left)} of {len(contacts)} are done already ({options.report})", file=sys.stderr)
    dial_options: dict[str, Any] = {"amd": options.amd, "voicemail": options.voicemail, "sender": options.sender}
    outcome = None
    results = _Results(report)
    try:
        results.open()
        async with trio.open_nursery() as nursery:
            with ProgressBar() as loading:
                await nursery.start(partial(engine.serve, signals=False, progress=loading.show))
            with _Bar() as bar, trio.CancelScope() as scope:
                await nursery.start(_watch_signals, results.stop, scope, bar)
                outcome = await run_campaign(
                    engine,
                    left,
                    at_once=options.at_once,
                    per_second=options.per_second,
                    attempts=options.attempts,
                    retry_after=options.retry_after,
                    hours=options.hours,
                    on_result=results.take,
                    progress=bar.show,
                    stop=results.stop,
                    **{name: value for name, value in dial_options.items() if value},
                )
                await engine.drain()
            nursery.cancel_scope.cancel()
    finally:
        results.close()
    print(f"{results.total} done{_by_result(results.counts)}")
    return outcome is not None and outcome.complete


async def _watch_signals(
    stop: trio.Event,
    scope: trio.CancelScope,
    bar: _Bar,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
        task_status.started()
        async for _ in received:
            if stop.is_set():
                bar.say("hanging up")
                scope.cancel()
                return
            bar.say("no more calls are begun; those that go on may finish (again to hang up)")
            stop.set()


class _Results:
    """What is known so far, in the report as soon as it is."""

    def __init__(self, report: Report | None) -> None:
        self.stop = trio.Event()
        self.counts: dict[str, int] = {}
        self._report = report
        self._problem: OSError | None = None

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def open(self) -> None:
        if self._report is not None:
            self._report.open()

    def take(self, result: ContactResult) -> None:
        self.counts[result.result] = self.counts.get(result.result, 0) + 1
        if self._report is None or self._problem is not None:
            return
        try:
            self._report.write(result)
        except OSError as error:  # nobody is called whose result would be lost
            self._problem = error
            self.stop.set()

    def close(self) -> None:
        """Raises `ConfigurationError` where a result could not be written."""
        if self._report is not None:
            self._report.close()
        if self._problem is not None:
            raise ConfigurationError(
                f"the report could not be written ({self._problem.strerror}): dialling was stopped"
            )


class _Bar:
    """How far it is: a bar on a terminal, else a line for each percent. Both on stderr."""

    WIDTH = 24

    def __init__(self) -> None:
        self._bar = sys.stderr.isatty()
        self._shown = False
        self._percent = -1

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._wipe()

    def show(self, progress: CampaignProgress) -> None:
        part = progress.done / progress.total if progress.total else 1.0
        text = f"{progress.done}/{progress.total}, {progress.live} live{_by_result(progress.counts)}"
        if self._bar:
            filled = round(part * self.WIDTH)
            bar = "█" * filled + "░" * (self.WIDTH - filled)
            print(f"\r\x1b[Kcalling {bar} {text}", end="", file=sys.stderr, flush=True)
            self._shown = True
        elif int(part * 100) > self._percent:
            self._percent = int(part * 100)
            print(f"calling {text}", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        self._wipe()
        print(f"callengine: {text}", file=sys.stderr, flush=True)

    def _wipe(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False


def _by_result(counts: Mapping[Any, int]) -> str:
    return "".join(f", {count} {result}" for result, count in sorted(counts.items()))
