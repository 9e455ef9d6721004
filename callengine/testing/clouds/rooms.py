"""A conference room of the simulated network."""

from __future__ import annotations

import trio

from callengine.testing.clouds.legs import CloudLeg


class Room:
    """Its members hear each other, once somebody has come who starts it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: list[CloudLeg] = []
        self.started = False
        self.over = trio.Event()

    def enter(self, leg: CloudLeg, *, starts: bool) -> None:
        """One more."""
        self.members.append(leg)
        self.started = self.started or starts

    def leave(self, leg: CloudLeg, *, ends: bool) -> None:
        """One less; where ``ends``, that is the end of it."""
        self.members.remove(leg)
        if ends or not self.members:
            self.over.set()

    def spread(self, speaker: CloudLeg, frame: bytes) -> None:
        """What one says, all others hear."""
        if self.started:
            for member in self.members:
                if member is not speaker:
                    member.hears(frame)
