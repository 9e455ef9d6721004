"""What the tests of the sender share: what went out and when, and how much the carrier has to play."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import trio
from lab_calls import buffers

from callengine.call.settings import SenderSettings
from callengine.testing import Caller, CallLab

SLOT = 0.005
"""Seconds: sends are up to this much late, for they come on the metronome's grid."""

COUNTING = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
"""A sentence of 6.3 s."""


@attrs.frozen
class Sent:
    """A slice on the wire."""

    at: float
    samples: int
    mark: str
    playout: float


def slices(lab: CallLab, utterance: int = 1) -> list[Sent]:
    """The slices of an utterance, with times on the engine's clock."""
    journal = lab.call.journal
    return [
        Sent(
            record.t + journal.started_at,
            record.data["samples"],
            record.data["mark"],
            record.data["playout"] + journal.started_at,
        )
        for record in journal.of("media.sent")
        if record.data["utterance"] == utterance
    ]


PLIVO = {"playAudio": "media", "checkpoint": "mark", "clearAudio": "clear"}
"""Its words for what the others call."""


def wire(lab: CallLab) -> list[str]:
    """Every message that left, in order: ``media``, ``clear``, or ``mark NAME``, whatever the carrier's words."""
    return [_named(json.loads(message)) for message in lab.call._line._connection.socket.sent]


def clears(lab: CallLab) -> int:
    """How many times what the carrier had was taken back."""
    return wire(lab).count("clear") if buffers(lab) else len(lab.call.journal.of("clear.sent"))


def _named(message: dict[str, Any]) -> str:
    kind = PLIVO.get(message["event"], message["event"])
    return f"mark {message.get('mark', message)['name']}" if kind == "mark" else kind


def schedule(settings: SenderSettings, samples: int) -> list[tuple[float, int]]:
    """When slices leave after the first, and their samples, where all the audio is there from the beginning."""
    rows: list[tuple[float, int]] = []
    sent = 0
    while sent < samples:
        first = len(rows) < settings.first_slices
        size = min(samples - sent, round((settings.first_slice if first else settings.slice) * 8000))
        due = 0.0 if first else max(rows[-1][0], sent / 8000 - (settings.lead - settings.slice / 2))
        rows.append((due, size))
        sent += size
    return rows


@attrs.define
class Buffer:
    """How much the carrier had to play, looked at every ``step`` seconds until something is so."""

    seconds: list[float] = attrs.field(factory=list)

    async def watch(self, caller: Caller, until: Callable[[], Any], step: float = 0.002) -> Buffer:
        """Begins when something plays."""
        queue = caller.leg.queue
        while not queue.playing(trio.current_time()):
            await trio.sleep(step)
        while not until():
            self.seconds.append(queue.ends_at - trio.current_time())
            await trio.sleep(step)
        return self


def all_sent(lab: CallLab, utterance: int = 1) -> Callable[[], bool]:
    """Whether everything of an utterance is on its way."""

    def done() -> bool:
        current = lab.call._line.sender.current
        return current is None or current.number != utterance or current.finished

    return done


def times(rows: Sequence[Sent]) -> list[float]:
    """When they left, after the first of them."""
    return [row.at - rows[0].at for row in rows]


async def started(lab: CallLab, utterance: int = 1) -> float:
    """Wait for the first slice of an utterance; returns when it left (engine time)."""
    with trio.fail_after(30):
        while not slices(lab, utterance):
            await trio.sleep(0.001)
    return slices(lab, utterance)[0].at
