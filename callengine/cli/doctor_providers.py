"""``callengine doctor --providers``: which vendors answer, take the key, and how fast."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, TypeAlias

import attrs
import trio

from callengine.cli.main import FAILED, OK, USAGE
from callengine.cli.stopwatch import Stopwatch
from callengine.errors import ConfigurationError, ProviderError, ProviderFault
from callengine.ports import Probed, ProviderRole
from callengine.providers.catalogue import CATALOGUE, Entry, plain
from callengine.wire import Wire, open_wire

LONGEST = 15.0
"""Seconds for one vendor: as long as a language model's recipe waits to connect (5) and for an answer (10)."""

OpenWire: TypeAlias = Callable[[], AbstractAsyncContextManager[Wire]]

_REMEDIES: dict[ProviderFault, str] = {
    "fatal": "see that the key is this vendor's, whole, and that the account is in credit",
    "retry": "try again; if it stays so, look at this machine's network, and at the vendor's status page",
    "reopen": "try again",
}


@attrs.frozen
class Subject:
    """A recipe that may be asked: ``recipe`` is None where ``note`` says why it is not, which is a ``problem`` or
    none."""

    role: ProviderRole
    name: str
    key: str = ""
    """Which variable its key is in, or should be. Never the key."""
    variable: str = ""
    """The one that it is in."""
    recipe: Probed | None = None
    note: str = ""
    problem: bool = False


@attrs.frozen
class Finding:
    """What became of one: ``result`` in words, times in seconds where they are known."""

    subject: Subject
    state: Literal["ok", "note", "problem"]
    result: str
    connected: float | None = None
    answered: float | None = None
    remedy: str = ""


def doctor_providers(names: Sequence[str], open_wire: OpenWire = open_wire) -> int:
    """Ask the vendors whose keys are set, or those of these names, and print a table; returns the exit status."""
    try:
        asked = subjects(names)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return USAGE
    findings = trio.run(check, asked, open_wire)
    dim = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for line in table(findings, dim=dim):
        print(line)
    return FAILED if any(finding.state == "problem" for finding in findings) else OK


def subjects(names: Collection[str] = ()) -> list[Subject]:
    """Every recipe whose vendor can be asked, or those of these names. Raises `ConfigurationError` for a name that is
    none."""
    known = [entry for entry in CATALOGUE if hasattr(entry.load(), "probe")]
    wanted = {plain(name): name for name in names}
    if unknown := [name for key, name in wanted.items() if key not in {plain(entry.name) for entry in known}]:
        there = ", ".join(dict.fromkeys(entry.name for entry in known))
        raise ConfigurationError(f"no provider is called {', '.join(unknown)}: there are {there}")
    return [_subject(entry, named=bool(names)) for entry in known if not names or plain(entry.name) in wanted]


def _subject(entry: Entry, *, named: bool) -> Subject:
    """``named``: the user asks for it, so that what is missing is a problem, and what needs no key is asked."""
    if entry.name == "openai_compatible":
        return _compatible(entry)
    settings = entry.settings()
    bare = Subject(entry.role, entry.name)
    key = next((setting for setting in settings if setting.secret), None)
    if key is not None and key.is_set():
        variable = next(name for name in key.variables if os.environ.get(name, "").strip())
        bare = attrs.evolve(bare, key=f"{variable} is set", variable=variable)
    elif key is not None and not key.optional:
        return attrs.evolve(bare, key=f"no key: {' or '.join(key.variables)}", note="not asked", problem=named)
    elif not named and not any(setting.is_set() for setting in settings):
        return attrs.evolve(bare, key="needs no key", note=f"not asked, but with --provider {entry.name}")
    return _made(bare, entry.load())


def _compatible(entry: Entry) -> Subject:
    """The server that an engine finds in the environment."""
    names = ("CALLENGINE_LLM_URL", "CALLENGINE_LLM_KEY", "CALLENGINE_LLM_MODEL")
    url, key, model = (os.environ.get(name, "").strip() for name in names)
    bare = Subject(entry.role, entry.name)
    if not url:
        return attrs.evolve(bare, key="no address: CALLENGINE_LLM_URL", note="not asked")
    if key:
        bare = attrs.evolve(bare, key="CALLENGINE_LLM_KEY is set", variable="CALLENGINE_LLM_KEY")
    return _made(bare, entry.load(), url, model or "unknown", key)


def _made(bare: Subject, recipe: Any, *arguments: Any) -> Subject:
    try:
        return attrs.evolve(bare, recipe=recipe(*arguments))
    except ConfigurationError as error:
        return attrs.evolve(bare, note=str(error), problem=True)


async def check(asked: Sequence[Subject], open_wire: OpenWire = open_wire) -> list[Finding]:
    """Ask all of them at once; the findings are in their order. Takes `LONGEST` seconds at most."""
    findings: dict[int, Finding] = {}

    async def one(number: int, subject: Subject) -> None:
        findings[number] = await _ask(subject, open_wire)

    async with trio.open_nursery() as nursery:
        for number, subject in enumerate(asked):
            nursery.start_soon(one, number, subject)
    return [findings[number] for number in range(len(asked))]


async def _ask(subject: Subject, open_wire: OpenWire) -> Finding:
    if subject.recipe is None:
        return Finding(subject, "problem" if subject.problem else "note", subject.note)
    watch = Stopwatch()
    error: ProviderError | None = None
    with trio.move_on_after(LONGEST) as waited:
        try:
            async with open_wire() as wire:  # one each: another's open connection would be measured as none
                await subject.recipe.probe(watch.over(wire))
        except ProviderError as failure:
            error = failure
    if error is None and waited.cancelled_caught:
        error = ProviderError(subject.name, f"no answer within {LONGEST:g} s")
    if error is None:
        return Finding(subject, "ok", "ok", watch.connected, watch.answered)
    words = str(error).removeprefix(f"{error.provider}: ")
    return Finding(subject, "problem", words, watch.connected, watch.answered, _remedy(subject, error))


def _remedy(subject: Subject, error: ProviderError) -> str:
    where = f" ({subject.variable})" if error.fault == "fatal" and subject.variable else ""
    return _REMEDIES[error.fault] + where


def table(findings: Iterable[Finding], *, dim: bool = False) -> list[str]:
    """Lines for a terminal: those that were asked first. ``dim`` shows the others pale."""
    ordered = sorted(findings, key=lambda finding: finding.state == "note")
    head = ("", "provider", "role", "key", "connect", "first byte", "result")
    rows = [_row(finding) for finding in ordered]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(6)]
    lines = [_line(head, widths)]
    for finding, row in zip(ordered, rows, strict=True):
        line = _line(row, widths)
        lines.append(f"\x1b[2m{line}\x1b[0m" if dim and finding.state == "note" else line)
        if finding.remedy:
            lines.append(f"{'':<{widths[0]}}  → {finding.remedy}")
    return lines


def _row(finding: Finding) -> Sequence[str]:
    subject, times = finding.subject, (_ms(finding.connected), _ms(finding.answered))
    return (finding.state, subject.name, subject.role, subject.key, *times, finding.result)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    *texts, connect, answer = zip(row[:6], widths, strict=True)
    cells = [text.ljust(width) for text, width in texts] + [text.rjust(width) for text, width in (connect, answer)]
    return "  ".join([*cells, row[6]])


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"
