"""A server that speaks Chat Completions over real HTTP/1.1 on a loopback socket, as well or as badly as it is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import h11
import trio


def chunk(text: str | None = None, *, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """One ``chat.completion.chunk``."""
    delta: dict[str, Any] = {} if text is None else {"content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1795280000,
        "model": "fake",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        "usage": None,
        **fields,
    }


def usage(prompt: int, completion: int) -> dict[str, Any]:
    """The chunk that ``include_usage`` asks for: no choices."""
    figures = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": figures}


def sse(*events: dict[str, Any] | str, done: bool = True) -> bytes:
    """The bytes of a stream: JSON chunks, or lines as they are."""
    lines = [event if isinstance(event, str) else f"data: {json.dumps(event, ensure_ascii=False)}" for event in events]
    if done:
        lines.append("data: [DONE]")
    return "".join(f"{line}\n\n" for line in lines).encode()


def ordinary(*texts: str) -> bytes:
    """A complete, well-behaved stream."""
    first = chunk("")
    first["choices"][0]["delta"]["role"] = "assistant"
    return sse(first, *(chunk(text) for text in texts), chunk(finish="stop"), usage(12, len(texts)))


@attrs.frozen
class Answer:
    """What to say to one request.

    ``script`` is played in order: bytes are sent, numbers are pauses in seconds, ``"drop"`` breaks the connection,
    ``"hang"`` waits until the client has gone. ``pieces`` cuts bytes into chunks of that size.
    """

    script: Sequence[bytes | float | str] = ()
    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    content_type: str = "text/event-stream"
    before_head: float = 0.0
    pieces: int = 1_000_000


@attrs.frozen
class Request:
    """What a client asked."""

    method: str
    target: str
    headers: dict[str, str]
    body: Any


@attrs.define
class FakeOpenAI:
    """The running server: answers are given in order, the last one for ever."""

    answers: list[Answer]
    port: int = 0
    connections: int = 0
    open_connections: int = 0
    requests: list[Request] = attrs.field(factory=list)
    _closings: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def all_closed(self) -> None:
        """Wait until no client is connected."""
        while self.open_connections:
            await self._closings.park()

    async def _serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.open_connections += 1
        connection = h11.Connection(h11.SERVER)
        try:
            while await self._exchange(stream, connection):
                connection.start_next_cycle()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass  # the client left in the middle of an answer
        finally:
            self.open_connections -= 1
            self._closings.unpark_all()
            await trio.aclose_forcefully(stream)

    async def _exchange(self, stream: trio.SocketStream, connection: h11.Connection) -> bool:
        request = await _next_event(stream, connection)
        if not isinstance(request, h11.Request):
            return False
        body = b""
        while isinstance(event := await _next_event(stream, connection), h11.Data):
            body += event.data
        self.requests.append(
            Request(
                request.method.decode(),
                request.target.decode(),
                {name.decode(): value.decode() for name, value in request.headers},
                json.loads(body) if body else None,
            )
        )
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await self._answer(stream, connection, answer)

    async def _answer(self, stream: trio.SocketStream, connection: h11.Connection, answer: Answer) -> bool:
        async def send(event: h11.Event) -> None:
            await stream.send_all(connection.send(event) or b"")

        await trio.sleep(answer.before_head)
        headers = [("content-type", answer.content_type), ("transfer-encoding", "chunked"), *answer.headers]
        await send(h11.Response(status_code=answer.status, headers=headers))
        for step in answer.script:
            if step == "drop":
                return False
            if step == "hang":
                await stream.receive_some(1)
                return False
            if isinstance(step, bytes):
                for start in range(0, len(step), answer.pieces):
                    await send(h11.Data(data=step[start : start + answer.pieces]))
            else:
                assert not isinstance(step, str)
                await trio.sleep(step)
        await send(h11.EndOfMessage())
        return True


async def _next_event(stream: trio.SocketStream, connection: h11.Connection) -> h11.Event | type:
    while True:
        event = connection.next_event()
        if event is not h11.NEED_DATA:
            return event
        connection.receive_data(await stream.receive_some(65_536))


@asynccontextmanager
async def fake_openai(*answers: Answer) -> AsyncIterator[FakeOpenAI]:
    """Run a server on a free port of the loopback interface."""
    server = FakeOpenAI(list(answers))
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, server._serve, listeners)
        yield server
        nursery.cancel_scope.cancel()
