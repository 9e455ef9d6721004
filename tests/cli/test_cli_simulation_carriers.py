"""A simulated call on each carrier, over real sockets, to the smallest server that there is."""

from __future__ import annotations

import json
import uuid
from functools import partial

import numpy as np
import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from callengine.audio import from_pcm
from callengine.carriers.audiosocket import wire
from callengine.cli.simulation.call import Settings
from callengine.cli.simulation.caller import Manners
from callengine.cli.simulation.line import Line
from callengine.cli.simulation.report import JsonReport
from callengine.cli.simulation.run import Plan, simulate
from callengine.cli.simulation.script import Press, Wait
from callengine.cli.simulation.wires import Closing
from callengine.testing.link import LinkClosed

QUICK = Settings(manners=Manners(pause=0.0, patience=0.1))
TONE = (8000 * np.sin(np.arange(160) / 3)).astype(np.int16)


@pytest.mark.parametrize("kind", ["twilio", "signalwire", "telnyx", "plivo"])
async def test_a_stream_on_every_carrier(kind: str) -> None:
    # given a server that takes any stream, and closes it at the first key
    starts: list[dict[str, object]] = []

    async def take(request: WebSocketRequest) -> None:
        connection = await request.accept()
        try:
            while True:
                message = json.loads(await connection.get_message())
                if message["event"] == "start":
                    starts.append(message)
                if message["event"] == "dtmf":
                    await connection.aclose(1000)
        except ConnectionClosed:
            pass

    lines: list[str] = []
    async with trio.open_nursery() as nursery:
        listener = await nursery.start(partial(serve_websocket, take, "127.0.0.1", 0, ssl_context=None))
        plan = Plan(
            kind=kind,
            target=f"ws://127.0.0.1:{listener.port}/{kind}/media",
            settings=QUICK,
            actions=(Press("1"), Wait(5.0)),
            parameters={"tenant": "acme"} if kind != "telnyx" else {},
            words=False,
        )
        # when
        passed = await simulate(plan, JsonReport(lines.append))
        nursery.cancel_scope.cancel()

    # then it has had one stream, with its parameters
    assert passed
    assert len(starts) == 1
    assert kind == "telnyx" or "acme" in json.dumps(starts)
    summary = json.loads(lines[-1])
    assert summary["ended_by"] == "server"
    assert summary["duration"] < 5.0


async def test_audiosocket_until_the_engine_hangs_up() -> None:
    # given an engine that says 60 ms and hangs up
    names: list[uuid.UUID] = []

    async def take(stream: trio.SocketStream) -> None:
        reader, said = wire.MessageReader(), False
        async for data in stream:
            for message in reader.feed(data):
                if message[0] == wire.UUID:
                    names.append(uuid.UUID(bytes=bytes(message[1:])))
            if not said:
                said = True
                for _ in range(3):
                    await stream.send_all(wire.message(0x10, from_pcm(TONE, "l16")))
                await trio.sleep(0.3)
                await stream.send_all(wire.message(wire.HANG_UP))

    lines: list[str] = []
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, take, [listener])
        port = listener.socket.getsockname()[1]
        plan = Plan(
            kind="audiosocket", target=f"127.0.0.1:{port}", settings=QUICK, actions=(Wait(5.0),), words=False, number=7
        )
        # when
        passed = await simulate(plan, JsonReport(lines.append))
        nursery.cancel_scope.cancel()

    assert passed, lines
    assert names == [uuid.UUID(int=7)]
    told = [json.loads(line) for line in lines]
    [said] = [event for event in told if event["event"] == "agent says"]
    assert said["until"] - said["at"] == pytest.approx(0.06, abs=0.021)
    assert told[-1]["ended_by"] == "server"


class Memory:
    """A wire that keeps what it is sent."""

    def __init__(self) -> None:
        self.closing: Closing | None = None
        self.got: list[tuple[float, bytes]] = []
        self.messages_in, self._messages = trio.open_memory_channel[tuple[bool, bytes]](10)

    async def send(self, message: bytes) -> None:
        self.got.append((trio.current_time(), message))

    async def receive(self) -> tuple[bool, bytes]:
        try:
            return await self._messages.receive()
        except trio.EndOfChannel:
            raise LinkClosed from None

    async def close(self) -> None:
        self.messages_in.close()

    def drop(self) -> None:
        self.messages_in.close()


async def test_a_line_can_be_stalled_in_either_direction(autojump_clock: object) -> None:
    memory = Memory()
    line = Line(memory)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.run)
        line.stall(1.0, to_carrier=False)
        await line.send(b"to the server")
        memory.messages_in.send_nowait((True, b"to the carrier"))
        assert await line.receive() == b"to the carrier"
        assert trio.current_time() == began
        line.stall(2.0, to_engine=False)
        memory.messages_in.send_nowait((True, b"to the carrier"))
        await line.receive()
        assert trio.current_time() - began == pytest.approx(2.0)
        await line.close()
    assert memory.got == [(pytest.approx(began + 1.0), b"to the server")]
