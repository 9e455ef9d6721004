"""A public address for an engine on this machine, by a tunnel program that is installed already."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Literal, TypeAlias, get_args

import attrs
import httpx
import trio

from callengine.cleanup import bounded_cleanup, single
from callengine.errors import CallEngineError, ConfigurationError

TunnelKind: TypeAlias = Literal["cloudflared", "ngrok"]
KINDS: tuple[TunnelKind, ...] = get_args(TunnelKind)

URL_TIMEOUT = 30.0
"""Seconds that the program may take to name its address."""
ANSWER_TIMEOUT = 30.0
"""Seconds after that in which the address has to lead to the engine: a new name takes a while to spread."""
ASK_EVERY = 0.5
"""Seconds between two requests."""
STOP_TIMEOUT = 3.0
"""Seconds that the program may take to end, before it is killed."""
LAST_LINES = 8
"""Of its output, kept for when something goes wrong."""
_LONGEST_LINE = 4096
_SECRET = re.compile(r"(?i)(token\s*[:=]\s*)\S+")
"""What ngrok repeats of its configuration when it refuses it."""

log = logging.getLogger(__name__)


class TunnelFailed(CallEngineError):
    """The tunnel did not come up. The message ends with the program's last lines."""


@attrs.frozen
class _Recipe:
    """How one program is started, and where its output names the address."""

    arguments: Callable[[int], list[str]]
    address: re.Pattern[str]
    install: str


_RECIPES: dict[TunnelKind, _Recipe] = {
    # https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/do-more-with-tunnels/trycloudflare/
    "cloudflared": _Recipe(
        lambda port: ["tunnel", "--no-autoupdate", "--url", f"http://127.0.0.1:{port}"],
        re.compile(r"(https://(?!api\.)[a-z0-9-]+\.trycloudflare\.com)(?![\w.-])"),
        "https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/downloads/",
    ),
    # https://ngrok.com/docs/agent/cli/
    "ngrok": _Recipe(
        lambda port: ["http", f"127.0.0.1:{port}", "--log", "stdout", "--log-format", "logfmt"],
        re.compile(r"\bmsg=\"started tunnel\".*\burl=\"?(https://[^\s\"]+)"),
        "https://ngrok.com/download, then: ngrok config add-authtoken ...",
    ),
}


@asynccontextmanager
async def open_tunnel(
    kind: TunnelKind,
    port: int,
    *,
    url_timeout: float = URL_TIMEOUT,
    answer_timeout: float = ANSWER_TIMEOUT,
    http: httpx.AsyncClient | None = None,
) -> AsyncIterator[str]:
    """A tunnel to this port of 127.0.0.1; the value is its public ``https://`` URL.

    Something has to listen already: the URL is given once ``{url}/healthz`` answers through the tunnel. ``url_timeout``
    bounds the program's start and ``answer_timeout`` that wait (seconds). ``http`` asks, and is not closed here.

    Resources: the program runs as long as the context, and is ended with it: asked to, and killed after 3 s. Its output
    is read to its end, so that it never blocks on a full pipe. Where it dies meanwhile, that is logged as an error.

    Errors: `ConfigurationError` where the program is not installed; `TunnelFailed`.
    """
    if kind not in _RECIPES:
        raise ConfigurationError(f"there is no tunnel {kind!r}: choose one of {', '.join(KINDS)}")
    recipe = _RECIPES[kind]
    program = shutil.which(kind)
    if program is None:
        raise ConfigurationError(f"{kind} is not installed, or not on the PATH: {recipe.install}")
    try:
        async with trio.open_nursery() as nursery:
            process = await nursery.start(
                partial(
                    trio.run_process,
                    [program, *recipe.arguments(port)],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    check=False,
                    start_new_session=True,  # Ctrl-C is for the engine: it drains, and needs the tunnel for that
                )
            )
            tunnel = _Tunnel(kind, process, recipe.address)
            nursery.start_soon(tunnel.watch)
            try:
                url = await tunnel.address(url_timeout)
                await tunnel.answers(url, answer_timeout, http)
                yield url
            finally:
                tunnel.ending = True
                await _stop(process)
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise single(group) from None


class _Tunnel:
    """A program that is running, and what it says."""

    def __init__(self, kind: str, process: trio.Process, address: re.Pattern[str]) -> None:
        self._kind = kind
        self._process = process
        self._pattern = address
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._address: str | None = None
        self._news = trio.Event()
        """Its address is known, or it has ended."""
        self.up = False
        self.ending = False

    async def watch(self) -> None:
        """Read what it says to the end, and tell when that comes too early."""
        assert self._process.stdout is not None
        rest = b""
        async for data in self._process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(line.decode("utf-8", "replace").rstrip())
            rest = rest[-_LONGEST_LINE:]
        self._take(rest.decode("utf-8", "replace"))
        await self._process.wait()
        self._news.set()
        if self.up and not self.ending:
            log.error("%s: carriers no longer reach the engine; restart it", self._explain("the tunnel broke down"))

    def _take(self, line: str) -> None:
        if line:
            self._lines.append(_SECRET.sub(r"\1***", line))
        if self._address is None and (found := self._pattern.search(line)):
            self._address = found[1].rstrip("/")
            self._news.set()

    async def address(self, timeout: float) -> str:
        """Wait until it names its address."""
        with trio.move_on_after(timeout):
            await self._news.wait()
        if self._process.poll() is not None:
            raise TunnelFailed(self._explain(f"{self._kind} ended with status {self._process.returncode}"))
        if self._address is None:
            raise TunnelFailed(self._explain(f"{self._kind} named no address within {timeout:g} s"))
        return self._address

    async def answers(self, url: str, timeout: float, http: httpx.AsyncClient | None) -> None:
        """Wait until the engine answers behind the address."""
        problem = "it was not asked"
        with trio.move_on_after(timeout):
            async with nullcontext(http) if http is not None else httpx.AsyncClient(timeout=5.0) as client:
                while self._process.poll() is None:
                    begun = trio.current_time()
                    try:
                        answer = await client.get(f"{url}/healthz")
                        if answer.is_success:
                            self.up = True
                            return
                        problem = f"status {answer.status_code}"
                    except httpx.HTTPError as error:
                        problem = str(error) or type(error).__name__
                    await trio.sleep_until(begun + ASK_EVERY)
            raise TunnelFailed(self._explain(f"{self._kind} ended with status {self._process.returncode}"))
        raise TunnelFailed(self._explain(f"{url} did not lead to the engine within {timeout:g} s ({problem})"))

    def _explain(self, what: str) -> str:
        if not self._lines:
            return f"{what}; it said nothing"
        return "\n".join([f"{what}; its last words:", *(f"  {line}" for line in self._lines)])


async def _stop(process: trio.Process) -> None:
    with bounded_cleanup(STOP_TIMEOUT):
        process.terminate()
        await process.wait()
    if process.returncode is None:
        process.kill()
        with bounded_cleanup(1):
            await process.wait()
