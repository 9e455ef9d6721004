"""One call's share of a part: by the adapter, by a bare socket, and by the package that the adapter is built on.

Each function here is made into a function of the wire alone with `functools.partial`, and opens what it needs: what it
yields is the work that is measured.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import numpy as np
import trio

from benchmarks.providers.bare import Peer, Talk, fetched, masked, open_bare
from callengine.ports import LanguageModel, Message, SessionContext, SpeechToText, SttSession, TextToSpeech
from callengine.wire import Wire

Share: TypeAlias = Callable[[], Awaitable[None]]

BLOCK = 0.1
"""Seconds of audio in a message to a recogniser, as the engine sends it."""
SPEED = 20.0
"""Times faster than he speaks, a caller's audio is sent: slow enough that every message is one of its own."""

QUESTION = (Message("system", "You take bookings for Chez Trio. Be brief."), Message("user", "A table for two."))


# --- by adapters ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def hears(recipe: SpeechToText, seconds: float, wire: Wire) -> AsyncIterator[Share]:
    """An utterance of so many seconds."""
    async with recipe.open(SessionContext("benchmark", wire=wire)) as session:
        yield lambda: _utterance(session, seconds)


async def _utterance(session: SttSession, seconds: float) -> None:
    block = np.zeros(round(BLOCK * 8000), np.int16)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_final, session)
        await session.start_utterance(1)
        for _ in range(round(seconds / BLOCK)):
            await session.send(block)
            await trio.sleep(BLOCK / SPEED)
        await session.end_utterance()


async def _until_final(session: SttSession) -> None:
    while not (await session.receive()).final:
        pass


@asynccontextmanager
async def speaks(recipe: TextToSpeech, text: str, wire: Wire) -> AsyncIterator[Share]:
    """A text, with the last of its audio."""
    async with recipe.open(SessionContext("benchmark", wire=wire)) as session:

        async def speak() -> None:
            async with session.synthesise(text) as chunks:
                async for _ in chunks:
                    pass

        yield speak


@asynccontextmanager
async def writes(recipe: LanguageModel, times: int, wire: Wire) -> AsyncIterator[Share]:
    """So many replies, one after the other."""
    async with recipe.open(SessionContext("benchmark", wire=wire)) as session:

        async def write() -> None:
            for _ in range(times):
                async with session.reply(QUESTION) as events:
                    async for _ in events:
                        pass

        yield write


# --- by less ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def bare_talk(address: str, path: str, talk: Talk, times: int, wire: Wire) -> AsyncIterator[Share]:
    """The same bytes on a socket, and nobody who understands them."""
    del wire
    said = [message if talk.plain else masked(message) for message in talk.said]
    async with open_bare(address, path) as socket:
        yield lambda: _talk(socket.send, socket.until, said, talk.end, talk.gap, times)


@asynccontextmanager
async def package_talk(url: str, talk: Talk, times: int, wire: Wire) -> AsyncIterator[Share]:
    """The same messages on a WebSocket of `trio-websocket`, and nobody who understands them."""
    del wire
    async with Peer(url).open() as peer:
        yield lambda: _talk(peer.send, peer.until, talk.said, talk.end, talk.gap, times)


@asynccontextmanager
async def package_fetch(url: str, body: object, times: int, wire: Wire) -> AsyncIterator[Share]:
    """The same request by `httpx`, and nobody who understands its answer."""

    async def fetch() -> None:
        for _ in range(times):
            await fetched(wire.http, url, body)

    yield fetch


async def _talk(
    send: Callable[[bytes], Awaitable[None]],
    until: Callable[[bytes], Awaitable[None]],
    said: Sequence[bytes],
    end: bytes,
    gap: float,
    times: int,
) -> None:
    for _ in range(times):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(until, end)
            for message in said:
                await send(message)
                if gap:
                    await trio.sleep(gap)
