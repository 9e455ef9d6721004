"""What each role's adapters cost by themselves: several calls at once, over the loopback, on one wire."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import TypeAlias

import attrs
import trio

from benchmarks.calls_per_core.scenario import CHARACTERS_A_SECOND, Scenario
from benchmarks.micro.timing import Row
from benchmarks.providers.bare import Talk, request
from benchmarks.providers.calls import (
    BLOCK,
    SPEED,
    Share,
    bare_talk,
    hears,
    package_fetch,
    package_talk,
    speaks,
    writes,
)
from callengine.ports import LanguageModel, TextToSpeech
from callengine.providers.llm.anthropic import Anthropic
from callengine.providers.llm.gemini import Gemini
from callengine.providers.llm.openai_compatible import OpenAICompatible
from callengine.providers.stt.deepgram import Deepgram
from callengine.providers.tts.cartesia import Cartesia
from callengine.providers.tts.elevenlabs import ElevenLabs
from callengine.providers.tts.elevenlabs_http import ElevenLabsHttp
from callengine.wire import Wire, open_wire

PACE = Scenario(stt_final=0.01, llm_first=0.01, llm_gap=0.005, tts_first=0.01, tts_chunk=0.1, tts_speed=20.0)
"""Of the vendors: several times faster than real ones, and slow enough that each message wakes its reader by itself. At
full speed many would be read at once."""

KEY = "benchmark"
LAST_CHUNK = b"\r\n0\r\n\r\n"
SENTENCE = "Certainly, I have a table free at eight. "

Opened: TypeAlias = Callable[[Wire], AbstractAsyncContextManager[Share]]


@attrs.frozen
class Size:
    """How much is done. In each of the rounds all variants of a part take their turns, and the best counts."""

    calls: int = 10
    rounds: int = 5
    seconds: float = 10.0
    tokens: int = 200
    replies: int = 20
    kept: int = 100


QUICK = Size(calls=2, rounds=1, seconds=1.0, tokens=10, replies=2, kept=4)


@attrs.frozen
class Part:
    """What is measured, the unit, how many of it a call's share has; by the adapter, and by less."""

    name: str
    unit: str
    units: float
    adapter: Opened
    socket: Opened
    package: Opened
    package_name: str
    kept: int = 0
    """Connections that the pool keeps from earlier requests."""


def rows(address: str, size: Size) -> list[Row]:
    """Microseconds of CPU, against a socket by itself and the package that the adapter is built on by itself."""
    return [row for part in parts(address, size) for row in trio.run(_measured, part, size)]


async def _measured(part: Part, size: Size) -> list[Row]:
    best: dict[str, float] = {}
    async with open_wire() as wire:
        if part.kept:
            await _round(part.adapter, wire, part.kept)
        for _ in range(size.rounds):
            for name in ("adapter", "socket", "package"):
                took = await _round(getattr(part, name), wire, size.calls) / size.calls / part.units * 1e6
                best[name] = min(took, best.get(name, took))
    return [
        Row(part.name, best["adapter"], part.unit, "a bare socket", best["socket"]),
        Row(part.name, best["adapter"], part.unit, part.package_name, best["package"]),
    ]


async def _round(opened: Opened, wire: Wire, calls: int) -> float:
    """Seconds of CPU that all calls' shares take."""
    async with AsyncExitStack() as stack:
        shares = [await stack.enter_async_context(opened(wire)) for _ in range(calls)]
        gc.collect()
        before = time.process_time()
        async with trio.open_nursery() as nursery:
            for number, share in enumerate(shares):
                nursery.start_soon(_staggered, share, number / calls * BLOCK / SPEED)
        return time.process_time() - before


async def _staggered(share: Share, delay: float) -> None:
    await trio.sleep(delay)
    await share()


def parts(address: str, size: Size) -> list[Part]:
    """All of them, at the vendors' address."""
    http = f"http://{address}"
    models: list[tuple[str, str, int, LanguageModel]] = []
    for words in (size.tokens, 1):
        name = f"words-{words}"
        gemini = f"/v1beta/models/{name}:streamGenerateContent?alt=sse"
        models += [
            ("openai compatible", "/v1/chat/completions", words, OpenAICompatible(f"{http}/v1", name)),
            ("anthropic", "/v1/messages", words, Anthropic(name, api_key=KEY, base_url=http)),
            ("gemini", gemini, words, Gemini(name, api_key=KEY, base_url=http)),
        ]
    found = [_hearing(address, size), *_speaking(address, size), *(_writing(address, *model, size) for model in models)]
    name = f"the same, with {size.kept} connections kept"
    return [*found, attrs.evolve(found[-3], name=name, kept=size.kept)]


def _hearing(address: str, size: Size) -> Part:
    blocks = (b"\xff" * round(BLOCK * 8000),) * round(size.seconds / BLOCK)
    talk = Talk((*blocks, b'{"type":"Finalize"}'), b'"is_final": true', BLOCK / SPEED)
    return Part(
        "deepgram, WebSocket",
        "us per second heard",
        size.seconds,
        partial(hears, Deepgram(api_key=KEY, base_url=f"ws://{address}"), size.seconds),
        partial(bare_talk, address, "/v1/listen", talk, 1),
        partial(package_talk, f"ws://{address}/v1/listen", talk, 1),
        "trio-websocket",
    )


def _speaking(address: str, size: Size) -> list[Part]:
    text = (SENTENCE * 60)[: round(size.seconds * CHARACTERS_A_SECOND)]
    ws, url = f"ws://{address}", "/v1/text-to-speech/voice/stream"
    sonic = Talk((json.dumps({"context_id": "c1", "transcript": text}).encode(),), b'"type": "done"')
    eleven = Talk((json.dumps({"context_id": "c1", "text": text, "flush": True}).encode(),), b'"isFinal": true')
    asked = Talk((request(url, json.dumps({"text": text}).encode()),), LAST_CHUNK, plain=True)

    def part(name: str, recipe: TextToSpeech, socket: Opened, package: Opened, package_name: str) -> Part:
        adapter = partial(speaks, recipe, text)
        return Part(name, "us per second spoken", size.seconds, adapter, socket, package, package_name)

    return [
        part(
            "cartesia, WebSocket",
            Cartesia(api_key=KEY, base_url=ws),
            partial(bare_talk, address, "/tts/websocket", sonic, 1),
            partial(package_talk, f"{ws}/tts/websocket", sonic, 1),
            "trio-websocket",
        ),
        part(
            "elevenlabs, WebSocket",
            ElevenLabs(api_key=KEY, base_url=ws),
            partial(bare_talk, address, "/v1/text-to-speech", eleven, 1),
            partial(package_talk, f"{ws}/v1/text-to-speech", eleven, 1),
            "trio-websocket",
        ),
        part(
            "elevenlabs, HTTP",
            ElevenLabsHttp(api_key=KEY, base_url=f"http://{address}"),
            partial(bare_talk, address, "", asked, 1),
            partial(package_fetch, f"http://{address}{url}", {"text": text}, 1),
            "httpx",
        ),
    ]


def _writing(address: str, name: str, path: str, words: int, model: LanguageModel, size: Size) -> Part:
    """Long replies, whose requests hardly count, by the token; and replies of one token, which are little else."""
    times, units, unit = 1, words, f"us per token of {words}"
    if words == 1:
        times, units, unit = size.replies, size.replies, "us per reply of one token"
    body = {"model": f"words-{words}"}
    talk = Talk((request(path, json.dumps(body).encode()),), LAST_CHUNK, plain=True)
    return Part(
        f"{name}, HTTP",
        unit,
        units,
        partial(writes, model, times),
        partial(bare_talk, address, "", talk, times),
        partial(package_fetch, f"http://{address}{path}", body, times),
        "httpx",
    )
