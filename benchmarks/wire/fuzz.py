"""What damaged messages do to a codec: nothing that is raised, nothing that is kept, nothing that takes long."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import attrs

from benchmarks.wire.damage import stream_of_damage
from benchmarks.wire.traffic import Message, traffic
from callengine.ports import (
    BadMessage,
    CarrierCodec,
    DtmfPressed,
    Ignored,
    MarkEchoed,
    StreamStarted,
    StreamStopped,
)
from callengine.testing.accounts import recipe

EVENTS = (bytes, StreamStarted, MarkEchoed, DtmfPressed, StreamStopped, Ignored, BadMessage)
FRESH = 10
"""Every so many messages one goes to a codec that has heard nothing yet: starts are damaged, too."""
SETTLED = 0.1
"""Part of the messages after which a codec has everything that it will ever keep."""


@attrs.frozen
class Fuzzed:
    """What came of it. ``slowest`` and ``seconds`` are of CPU, ``growth`` is in bytes."""

    carrier: str
    frames: int
    seconds: float
    slowest: float
    growth: int
    raised: dict[str, int]
    """What was raised, or returned that is no event, and how often."""
    example: str
    """The first message that did it."""
    events: dict[str, int]

    @property
    def understood(self) -> int:
        """Messages that meant something in spite of the damage."""
        return self.frames - self.events.get("BadMessage", 0) - self.events.get("Ignored", 0)


def fuzz(kind: str, frames: int, seed: int) -> Fuzzed:
    """Damaged messages of one carrier, twice: once for what they do and take, once for the memory."""
    raised: Counter[str] = Counter()
    events: Counter[str] = Counter()
    example = ""
    seconds = slowest = 0.0
    with _no_collector():
        for codec, message in _messages(kind, traffic(kind).started(), frames, f"{kind} {seed}"):
            before = time.thread_time()
            try:
                event = codec.decode(*message)
                problem = "" if isinstance(event, EVENTS) else f"returned {type(event).__name__}"
                events[type(event).__name__] += 1
            except Exception as error:  # whatever it is, it is what is looked for
                problem = type(error).__name__
            spent = time.thread_time() - before
            seconds += spent
            slowest = max(slowest, spent)
            if problem:
                raised[problem] += 1
                example = example or f"{'text' if message[0] else 'binary'} {message[1][:300]!r}"
    growth = memory_growth(kind, frames, seed)
    return Fuzzed(kind, frames, seconds, slowest, growth, dict(raised), example, dict(events))


@contextmanager
def _no_collector() -> Iterator[None]:
    """Its pauses are no message's own."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def memory_growth(kind: str, frames: int, seed: int) -> int:
    """Bytes that are held at the end and were not when a codec had settled."""
    tracemalloc.start()
    try:
        codec = traffic(kind).started()
        _feed(kind, codec, round(frames * SETTLED), f"{kind} {seed} at first")
        before = _held()
        _feed(kind, codec, frames, f"{kind} {seed}")
        return max(0, _held() - before)
    finally:
        tracemalloc.stop()


def _messages(kind: str, started: CarrierCodec, frames: int, seed: str) -> Iterator[tuple[CarrierCodec, Message]]:
    """The messages, each with the codec that it is for."""
    good = traffic(kind, {"caller": "Anna"}).samples()
    for number, message in enumerate(stream_of_damage(good, frames, seed)):
        yield recipe(kind).codec() if number % FRESH == 0 else started, message


def _feed(kind: str, started: CarrierCodec, frames: int, seed: str) -> None:
    for codec, message in _messages(kind, started, frames, seed):
        with suppress(Exception):  # counted in the other run
            codec.decode(*message)


def _held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
