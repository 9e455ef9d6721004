"""``callengine doctor``: what an engine needs on this machine, and what to do about what is missing."""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
from collections.abc import Iterator
from statistics import median
from time import perf_counter
from typing import Literal

import attrs
import numpy as np
import trio

from callengine.carriers.found import candidates
from callengine.cli.main import FAILED, OK
from callengine.cli.requirements import requirements
from callengine.errors import CallEngineError, ConfigurationError
from callengine.providers.llm.discover import Found, find_language_model
from callengine.providers.local import weights
from callengine.server.trust import PUBLIC_URL_VARIABLE, check_public_url
from callengine.services.silero import Silero
from callengine.turns.voice_activity import WINDOW

OLDEST, NEWEST = (3, 11), (3, 13)
"""Python versions that the suite runs under."""
VAD_ROWS = 32
"""Calls in the batch that is measured."""
FEWEST_FILES = 1024
"""File descriptors: a call needs one for its media socket, a webhook one for a moment, and vendors' sockets more."""


@attrs.frozen
class Finding:
    """One thing that was looked at: ``note`` limits what can be done, ``problem`` has to be mended."""

    state: Literal["ok", "note", "problem"]
    what: str
    remedy: str = ""


def doctor(*, port: int) -> int:
    """Look at everything and print a line for each; returns the exit status: 1 where there is a problem."""
    worst = OK
    for check in (_python, _packages, _weights, _language_model, _carrier, lambda: _port(port), _speed, _files):
        for finding in check():
            print(f"{finding.state:<8} {finding.what}", flush=True)
            if finding.remedy:
                print(f"{'':<8} → {finding.remedy}", flush=True)
            if finding.state == "problem":
                worst = FAILED
    return worst


def _python() -> Iterator[Finding]:
    version = sys.version_info[:2]
    name = f"Python {sys.version.split()[0]} at {sys.executable}"
    if version < OLDEST:
        yield Finding("problem", name, f"callengine needs Python {OLDEST[0]}.{OLDEST[1]} or newer")
    elif version > NEWEST:
        yield Finding("note", name, f"tested up to Python {NEWEST[0]}.{NEWEST[1]}")
    else:
        yield Finding("ok", name)
    if "--enable-optimizations" not in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        yield Finding(
            "note",
            "this Python was built without profile-guided optimisation: fewer calls on a core",
            "use a distribution's or python.org's build, or ./configure --enable-optimizations --with-lto",
        )


def _packages() -> Iterator[Finding]:
    for extra, wanted in requirements().items():
        if extra == "dev":
            continue  # for work on this package itself
        label = f"packages of the extra {extra!r}" if extra else "packages of the core"
        install = f"pip install 'callengine[{extra}]'" if extra else "pip install --force-reinstall callengine"
        versions = {each: each.installed() for each in wanted}
        missing = [each.wanted for each, version in versions.items() if version is None]
        wrong = [
            f"{each.wanted} is {version}" for each, version in versions.items() if version and not each.allows(version)
        ]
        if wrong:
            yield Finding("problem", f"{label}: {', '.join(wrong)}", install)
        if missing:
            yield Finding("note" if extra else "problem", f"{label}: missing {', '.join(missing)}", install)
        if not wrong and not missing:
            yield Finding("ok", f"{label}: {', '.join(f'{each.name} {version}' for each, version in versions.items())}")


def _weights() -> Iterator[Finding]:
    try:
        Silero()
        yield Finding("ok", "weights of the voice activity model: as they were tested")
    except CallEngineError as error:
        yield Finding("problem", "weights of the voice activity model", str(error))
    if weights.local_available():
        return  # the packages are missing: said above
    files = [value for value in vars(weights).values() if isinstance(value, weights.Weight)]
    bad = []
    for weight in files:
        try:
            weight.locate()
        except CallEngineError as error:
            bad.append(error)
            yield Finding("problem", f"weights: {weight.module}/{weight.path}", str(error))
    if not bad:
        yield Finding(
            "ok", f"weights of the embedded speech and language parts: {len(files)} files as they were tested"
        )


def _language_model() -> Iterator[Finding]:
    try:
        found = trio.run(find_language_model, os.environ)
    except ConfigurationError as error:
        yield Finding("problem", "language model", str(error))
        return
    if isinstance(found, Found):
        yield Finding("ok", f"language model: {found.how}")
    else:
        yield Finding("note", "language model: none, so prompts are not followed; flows work", found.message)


def _carrier() -> Iterator[Finding]:
    what = "the https:// address at which carriers reach this machine, or serve with --tunnel"
    if not os.environ.get(PUBLIC_URL_VARIABLE):
        yield Finding("note", f"{PUBLIC_URL_VARIABLE} is not set: calls are refused", f"set it to {what}")
    elif not _is_public_url(os.environ[PUBLIC_URL_VARIABLE]):
        yield Finding("problem", f"{PUBLIC_URL_VARIABLE} is set, and is no public URL", f"set it to {what}")
    else:
        yield Finding("ok", f"{PUBLIC_URL_VARIABLE} is set")
    carriers = candidates()
    usable = [carrier for carrier in carriers if carrier.missing_configuration() is None]
    for carrier in usable:
        missing = carrier.missing_for_commands()
        if missing is None:
            yield Finding("ok", f"{carrier.name}: keys to take calls, and to call, transfer and write")
        else:
            yield Finding("note", f"{carrier.name}: keys to take calls; it cannot call, transfer or hang up", missing)
    if not usable:
        needed = "; ".join(f"{carrier.name}: {carrier.missing_configuration()}" for carrier in carriers)
        yield Finding("note", "no carrier has its keys here, so no call can come in", needed)


def _is_public_url(url: str) -> bool:
    try:
        check_public_url(url.rstrip("/"))
    except ConfigurationError:
        return False
    return True


def _port(port: int) -> Iterator[Finding]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            yield Finding("problem", f"port {port}: {error.strerror}", "stop what uses it, or serve with --port")
            return
    yield Finding("ok", f"port {port} is free")


def _speed() -> Iterator[Finding]:
    model = Silero()
    audio = np.zeros((VAD_ROWS, model.window), np.float32)
    context = np.zeros((VAD_ROWS, model.context), np.float32)
    state = np.zeros((VAD_ROWS, model.state_size), np.float32)
    took = []
    for _ in range(60):
        start = perf_counter()
        model.step(audio, context, state)
        took.append(perf_counter() - start)
    batch = median(took[10:])
    share = batch / VAD_ROWS / WINDOW
    what = f"voice activity of {VAD_ROWS} calls in {batch * 1000:.2f} ms: {share:.2%} of a core a call"
    if share > 0.01:
        yield Finding("note", what, "this machine is slow, or busy: expect few calls on a core")
    else:
        yield Finding("ok", what)


def _files() -> Iterator[Finding]:
    if sys.platform == "win32":
        return
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < FEWEST_FILES:
        yield Finding("note", f"file descriptors: {soft}", f"ulimit -n {FEWEST_FILES} or more, for hundreds of calls")
    else:
        yield Finding("ok", f"file descriptors: {'unlimited' if soft < 0 else soft}")
