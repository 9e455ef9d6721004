"""One simulated call: the caller's script, and the carrier's playout with its marks. No I/O; time is passed in."""

from __future__ import annotations

import re
from array import array
from collections import deque
from enum import Enum

import attrs

from benchmarks.calls_per_core import wire
from benchmarks.calls_per_core.scenario import REFILL, SENDER, Scenario

FRAME = 0.02

_EVENT = slice(10, 12)
_MEDIA, _MARK, _CLEAR = b"me", b"ma", b"cl"
"""What tells the engine's messages apart: the third and fourth byte of ``{"event":"...`` behind the quote."""
_MARK_NAME = re.compile(rb'"name":"((u\d+)?[^"]*)"')
_SILENCE = wire.base64(b"\xff" * 160)


class State(Enum):
    """What the caller is doing."""

    WAITING = 1
    """He has spoken (or just picked up), and nothing has been heard of the agent since."""
    LISTENING = 2
    SPEAKING = 3


@attrs.frozen
class Turn:
    """A turn that was answered. Frames count from 1."""

    first_frame: int
    last_frame: int
    answered_at: float


@attrs.frozen
class Interruption:
    """A reply that was interrupted, and cleared."""

    first_frame: int
    cleared_at: float


@attrs.define
class Notes:
    """What was measured at this end of one call. Times in seconds, moments on the monotonic clock."""

    sent_at: array[float] = attrs.field(factory=lambda: array("d"))
    """When each frame left."""
    turns: list[Turn] = attrs.field(factory=list)
    interruptions: list[Interruption] = attrs.field(factory=list)
    lateness: list[tuple[float, float]] = attrs.field(factory=list)
    """Of slices: when each came, and how much later than the pacing of its utterance had it."""
    gaps: list[tuple[float, float]] = attrs.field(factory=list)
    """Underruns: when, and how long the caller heard nothing in the middle of an utterance."""
    missed: list[float] = attrs.field(factory=list)
    """Moments at which an answer or a clear had not come."""
    lost: bool = False
    """The connection ended before the end."""


class SimulatedCall:
    """The caller and the carrier's leg of one call. ``clips`` are what he says: rows of frames in base64."""

    def __init__(self, number: int, scenario: Scenario, clips: list[list[bytes]]) -> None:
        self.call_id = f"CA{number:032x}"
        self.stream_id = f"MZ{number:032x}"
        self.notes = Notes()
        self.marks: deque[tuple[float, bytes]] = deque()
        """When each pending mark is reached, and its name."""
        self._scenario = scenario
        self._clips = clips
        self._number = number
        self._suffix = b'"},"streamSid":"%s"}' % self.stream_id.encode()
        self._state = State.WAITING
        self._since = float("inf")
        self._frames = 0
        self._speech: list[bytes] = []
        self._spoken = 0
        self._first_frame = 0
        self._turns = 0
        self._interrupting = False
        self._heard_since = 0.0
        self._ends_at = 0.0
        self._gap = 0.0
        self._came_at = 0.0
        self._utterance = b""
        self._slices = 0

    # --- the caller -------------------------------------------------------------------------------------------------

    def next_frame(self, now: float) -> bytes:
        """The frame to send now."""
        self._frames += 1
        self.notes.sent_at.append(now)
        if self._state is not State.SPEAKING:
            self._decide(now)
        payload = _SILENCE
        if self._state is State.SPEAKING:
            payload = self._speech[self._spoken]
            self._spoken += 1
            if self._spoken == len(self._speech):
                self._stop_speaking(now)
        return wire.client_frame(wire.media_head(self._frames) + payload + self._suffix)

    def _decide(self, now: float) -> None:
        """Whether to speak now."""
        if self._state is State.WAITING:
            self._since = min(self._since, now)
            if now > self._since + self._scenario.patience:
                self.notes.missed.append(now)
                self._speak()
        elif self._is_to_be_interrupted():
            if now >= self._heard_since + self._scenario.interrupt_after:
                self._interrupting = True
                self._speak()
        elif now >= self._ends_at + self._scenario.think and not self.marks:
            self._speak()

    def _is_to_be_interrupted(self) -> bool:
        """Every so many replies; not the same ones in all calls, so that there are always some. Never the greeting."""
        return self._turns > 0 and (self._turns + self._number) % self._scenario.interrupt_every == 0

    def _speak(self) -> None:
        self._speech = self._clips[(self._number + self._turns) % len(self._clips)]
        self._spoken = 0
        self._first_frame = self._frames
        self._turns += 1
        self._state = State.SPEAKING

    def _stop_speaking(self, now: float) -> None:
        if self._interrupting:
            self._interrupting = False
            self.notes.missed.append(now)
        self._state = State.WAITING
        self._since = now

    # --- the carrier --------------------------------------------------------------------------------------------------

    def take(self, message: bytes, now: float) -> list[bytes]:
        """A message of the engine; returns frames to send at once."""
        event = message[_EVENT]
        if event == _MEDIA:
            self._on_media(message, now)
        elif event == _MARK:
            return self._on_mark(message, now)
        elif event == _CLEAR:
            return self._on_clear(now)
        return []

    def _on_media(self, message: bytes, now: float) -> None:
        if self._state is State.WAITING:
            self._heard_since = now
            self._state = State.LISTENING
            if self._turns:
                last = self._first_frame + len(self._speech) - 1
                self.notes.turns.append(Turn(self._first_frame, last, now))
        self._came_at = now
        self._gap = now - self._ends_at
        # The payload ends the message: {"...":{"payload":"<base64>"}}
        base64 = len(message) - 3 - message.rindex(b'"', 0, len(message) - 3) - 1
        samples = base64 // 4 * 3 - message.count(b"=", len(message) - 6)
        self._ends_at = max(now, self._ends_at) + samples / 8000

    def _on_mark(self, message: bytes, now: float) -> list[bytes]:
        match = _MARK_NAME.search(message)
        assert match is not None
        name, utterance = match[1], match[2]
        if utterance is not None:
            self._on_slice(utterance)
        if self._ends_at <= now:
            return [self._echo(name)]
        self.marks.append((self._ends_at, name))
        return []

    def _on_slice(self, utterance: bytes) -> None:
        """The mark behind a slice tells whose it was, and so whether it was to follow the last one without a gap."""
        if utterance != self._utterance:
            self._utterance, self._slices = utterance, 1
            return
        self._slices += 1
        if self._gap > 0:
            self.notes.gaps.append((self._came_at, self._gap))
        if self._slices > SENDER.first_slices:
            self.notes.lateness.append((self._came_at, self._gap + REFILL))

    def _on_clear(self, now: float) -> list[bytes]:
        if self._interrupting:
            self._interrupting = False
            self.notes.interruptions.append(Interruption(self._first_frame, now))
        self._ends_at = min(self._ends_at, now)
        pending = [self._echo(name) for _, name in self.marks]
        self.marks.clear()
        return pending

    def reached(self, now: float) -> list[bytes]:
        """The echoes of the marks that playout has reached."""
        frames = []
        while self.marks and self.marks[0][0] <= now:
            frames.append(self._echo(self.marks.popleft()[1]))
        return frames

    def _echo(self, name: bytes) -> bytes:
        return wire.client_frame(
            b'{"event":"mark","sequenceNumber":"2","mark":{"name":"%s"}%s' % (name, self._suffix[2:])
        )
