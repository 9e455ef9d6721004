"""Messages as nobody should send them: seeded, so that the same seed damages the same way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from benchmarks.wire.traffic import Message

LONG = 70_000
"""Bytes: longer than any codec takes."""
DEEP = 20_000
"""Brackets in each other, and still short enough to be looked at."""

_ODD: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 2**63, 10**40, 1.5, float("nan"), float("inf")),
    *("", " ", "0", "-1", "\ud800", "\x00", "NaN", "A", "====", "x" * 3000, "\N{PILE OF POO}", "../..", "\u2028"),
    *([], {}, [[]], [None], {"": ""}, {"name": 1}),
)


def damaged(good: Sequence[Message], random: Random) -> Message:
    """One of the good messages, damaged in one way or in two."""
    message = random.choice(good)
    for _ in range(random.choice((1, 1, 2))):
        message = random.choice(_WAYS)(message, good, random)
    return message


def stream_of_damage(good: Sequence[Message], frames: int, seed: str) -> Iterator[Message]:
    """So many of them."""
    random = Random(seed)
    for _ in range(frames):
        yield damaged(good, random)


def _flip(message: Message, _: Sequence[Message], random: Random) -> Message:
    payload = bytearray(message[1] or b"\0")
    for _bit in range(random.choice((1, 1, 1, 2, 8))):
        payload[random.randrange(len(payload))] ^= 1 << random.randrange(8)
    return message[0], bytes(payload)


def _cut(message: Message, _: Sequence[Message], random: Random) -> Message:
    at = random.randint(0, len(message[1]))
    return message[0], message[1][at:] if random.random() < 0.3 else message[1][:at]


def _insert(message: Message, _: Sequence[Message], random: Random) -> Message:
    at = random.randint(0, len(message[1]))
    return message[0], message[1][:at] + random.randbytes(random.randint(1, 8)) + message[1][at:]


def _remove(message: Message, _: Sequence[Message], random: Random) -> Message:
    at, length = random.randint(0, len(message[1])), random.randint(1, 8)
    return message[0], message[1][:at] + message[1][at + length :]


def _splice(message: Message, good: Sequence[Message], random: Random) -> Message:
    other = random.choice(good)[1]
    return message[0], message[1][: random.randint(0, len(message[1]))] + other[random.randint(0, len(other)) :]


def _twice(message: Message, _: Sequence[Message], __: Random) -> Message:
    return message[0], message[1] * 2


def _other_opcode(message: Message, _: Sequence[Message], __: Random) -> Message:
    return not message[0], message[1]


def _noise(message: Message, _: Sequence[Message], random: Random) -> Message:
    return message[0], random.randbytes(random.randint(0, 400))


def _long(message: Message, _: Sequence[Message], random: Random) -> Message:
    if random.random() < 0.9:  # seldom: they take longest
        return message[0], message[1][:1] + b"A" * random.randint(0, 3000) + message[1][1:]
    deep = b'{"event":' + b"[" * DEEP + b"]" * DEEP + b"}"
    return message[0], random.choice((message[1] + b" " * LONG, b"7" * 60_000, deep, b"{" * DEEP))


def _odd_value(message: Message, _: Sequence[Message], random: Random) -> Message:
    """A JSON message in which one thing is another, is missing, or is there without need."""
    try:
        data = json.loads(message[1])
        holders = list(_objects(data))
    except (ValueError, RecursionError):
        return _flip(message, _, random)
    if not holders:
        return message[0], json.dumps(random.choice(_ODD)).encode()
    holder = random.choice(holders)
    name = random.choice([*holder, "new"])
    if random.random() < 0.2:
        holder.pop(name, None)
    else:
        holder[name] = random.choice(_ODD)
    return message[0], json.dumps(data).encode()


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner)


_WAYS: tuple[Callable[[Message, Sequence[Message], Random], Message], ...] = (
    *(_flip, _flip, _cut, _insert, _remove, _splice, _twice, _other_opcode, _noise, _long),
    *(_odd_value, _odd_value, _odd_value, _odd_value),
)
