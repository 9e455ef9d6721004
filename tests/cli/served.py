"""``callengine`` in processes of its own, and calls to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import trio
from trio_websocket import connect_websocket_url

from callengine.testing import CarrierSettings
from callengine.testing.carrier import Leg
from callengine.testing.link import WebSocketLink
from callengine.testing.playout import PlayoutQueue
from callengine.testing.twilio import TwilioSide

STORY = '''
"""A story with scripted parts: it speaks, and waits to be let go."""
from callengine import Agent, Engine, JournalSettings
from callengine.testing import ScriptedStt, ScriptedTts
from callengine.testing.scripted import EnergyVad
from callengine.testing.words import Vocabulary

words = Vocabulary()
agent = Agent(greeting="-", stt=ScriptedStt(words), tts=ScriptedTts(words), aec="off", drain_notice="We close now.")

async def story(call):
    await call.say("Hello there.")
    await call.listen(timeout=60)

engine = Engine(story, agent=agent, vad=EnergyVad(), port=0, drain_timeout=30)
'''


@attrs.frozen
class Ran:
    """What a command that has ended said."""

    status: int
    output: str
    errors: str


def environment(**changes: str | None) -> dict[str, str]:
    """Ours, without what would configure an engine, and with these changes; None takes a variable away."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("TWILIO_", "CALLENGINE_"))}
    changed = ours | {"OPENBLAS_NUM_THREADS": "1"} | changes
    return {name: value for name, value in changed.items() if value is not None}


def run(*arguments: str, cwd: Path, code: str | None = None, **variables: str | None) -> Ran:
    """Run ``callengine`` to its end, or some Python ``code`` in its place."""
    how = ["-c", code] if code is not None else ["-m", "callengine"]
    done = subprocess.run(
        [sys.executable, *how, *arguments],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@attrs.define
class Served:
    """A server that is up."""

    process: trio.Process
    url: str = ""
    lines: list[str] = attrs.field(factory=list)
    """Everything it said, on either output."""
    _said: trio.Event = attrs.field(factory=trio.Event)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def says(self, text: str) -> str:
        """Wait for a line with this in it."""
        with trio.fail_after(20):
            while True:
                for line in self.lines:
                    if text in line:
                        return line
                self._said = trio.Event()
                await self._said.wait()

    async def ends(self) -> int:
        """Wait for its end; returns the status."""
        with trio.fail_after(20):
            return await self.process.wait()

    async def read(self, stream: trio.abc.ReceiveStream | None) -> None:
        assert stream is not None
        rest = ""
        async for data in stream:
            *lines, rest = (rest + data.decode()).split("\n")
            self.lines += lines
            self._said.set()


@asynccontextmanager
async def serving(
    cwd: Path, *options: str, target: str = "story:engine", variables: Mapping[str, str] | None = None
) -> AsyncIterator[Served]:
    """``callengine serve``, ready; killed at the end if it still runs."""
    (cwd / "story.py").write_text(STORY)
    async with trio.open_nursery() as nursery:
        start = partial(
            trio.run_process,
            [sys.executable, "-m", "callengine", "serve", target, *options],
            cwd=cwd,
            env=environment(**(variables or {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
        served = Served(await nursery.start(start))
        nursery.start_soon(served.read, served.process.stdout)
        nursery.start_soon(served.read, served.process.stderr)
        try:
            line = await served.says("listening on http")
            served.url = re.findall(r"http://\S+", line)[0]
            yield served
        finally:
            if served.process.poll() is None:
                served.process.kill()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def calling(served: Served) -> AsyncIterator[Leg]:
    """A call to the server, over a real WebSocket, that lives as long as the context."""
    async with trio.open_nursery() as nursery:
        connection = await connect_websocket_url(nursery, f"ws://127.0.0.1:{served.port}/twilio/media")
        side = TwilioSide("CA" + "1" * 32, "MZ" + "1" * 32, PlayoutQueue(), {})
        leg = Leg(WebSocketLink(connection, connection._stream), side, CarrierSettings())
        nursery.start_soon(leg.run)
        yield leg
        nursery.cancel_scope.cancel()


async def over(leg: Leg) -> None:
    """Wait until the engine has ended the call."""
    with trio.fail_after(20):
        await leg.over.wait()


async def speaks(leg: Leg, since: float = 0.0) -> None:
    """Wait until the agent is heard, after this time."""
    with trio.fail_after(20):
        while leg.queue.ends_at <= since:
            await trio.sleep(0.02)
