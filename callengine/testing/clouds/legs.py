"""A leg: one person's telephone, connected to the simulated carrier."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

import trio

from callengine.telephony import Progress
from callengine.testing.caller import Caller
from callengine.testing.carrier import Leg
from callengine.testing.clouds.phones import Ending
from callengine.testing.mouth import Mouth
from callengine.testing.playout import PlayoutQueue
from callengine.testing.side import Side

State: TypeAlias = Progress | Literal["initiated"]
"""``initiated``: the network is being asked; before that it is ``queued``, and then it may ring."""

Activity: TypeAlias = Callable[[], Awaitable[None]]
"""What a leg does until it is done, or told something else."""


class CloudLeg:
    """One person's telephone. Its body's methods are those of `callengine.testing.carrier.Leg`, for a `Caller`.

    Of the carrier's own, ``data`` is what its dress keeps (such as the URLs of callbacks).
    """

    def __init__(self, call_id: str, phone: str, line: str, direction: Literal["inbound", "outbound"]) -> None:
        self.call_id = call_id
        self.phone = phone
        """The person's number."""
        self.line = line
        """The other number: the one that was called, or that is shown."""
        self.direction: Literal["inbound", "outbound"] = direction
        self.state: State = "ringing" if direction == "inbound" else "queued"
        self.started_at = trio.current_time()
        self.states: list[tuple[float, State]] = [(self.started_at, self.state)]
        """Every state that it has been in, and since when."""
        self.ending: Ending | None = None
        self.data: dict[str, Any] = {}
        self.parent: CloudLeg | None = None
        """The leg that called this one."""
        self.person: Caller | None = None
        """Who is at the telephone, once it was answered (a caller: from the beginning)."""
        self.mouth = Mouth()
        self.queue = PlayoutQueue()
        """What the person hears."""
        self.stream: Leg | None = None
        """The media stream that is open now."""
        self.streams: list[Leg] = []
        """All streams that were, in order."""
        self.heard_by: Callable[[bytes], None] | None = None
        """Who hears the person, other than a stream."""
        self.keys_heard = ""
        """Keys that the carrier, or the person at the other end, pressed into this person's ear."""
        self.passes_key: Callable[[str], None] | None = None
        self.answered = trio.Event()
        self.over = trio.Event()
        self.greeting_over = trio.Event()
        """Where a machine answered: it has said its greeting, and beeped if it does."""
        self.settled = trio.Event()
        """Answered, or over."""
        self.scope = trio.CancelScope()
        self.doing = trio.CancelScope()
        self.next: Activity | None = None
        self.nursery: trio.Nursery | None = None
        """What happens beside what it does, as long as it is not over."""
        self.hangs_up: Callable[[], None] = lambda: None
        self._background: Callable[[float, bytes], bytes] | None = None

    # --- the person's body --------------------------------------------------------------------------------------------

    def speak(self, audio: bytes) -> trio.Event:
        """Say this (mu-law at 8 kHz); the event is set when it was said."""
        return self.mouth.speak(audio)

    def press(self, digit: str) -> None:
        """Press a key."""
        if self.stream is not None:
            self.stream.press(digit)
        elif self.passes_key is not None:
            self.passes_key(digit)

    def hang_up(self) -> None:
        """Put the phone down."""
        self.hangs_up()

    @property
    def background(self) -> Callable[[float, bytes], bytes] | None:
        """What the line adds to each frame that a media stream gets."""
        return self._background

    @background.setter
    def background(self, background: Callable[[float, bytes], bytes] | None) -> None:
        self._background = background
        if self.stream is not None:
            self.stream.background = background

    def send_raw(self, message: bytes) -> None:
        """Send any message on the media stream."""
        assert self.stream is not None, "there is no media stream now"
        self.stream.send_raw(message)

    def drop(self) -> None:
        """Break the media stream's connection, without a word. The telephone call goes on."""
        if self.stream is not None:
            self.stream.drop()

    # --- the carrier --------------------------------------------------------------------------------------------------

    @property
    def side(self) -> Side:
        """The carrier's end of the last media stream."""
        if not self.streams:
            raise AssertionError("no media stream was opened for this leg")
        return self.streams[-1].side

    def change(self, state: State) -> None:
        """Another state. A leg that is over has no other."""
        self.state = state
        self.states.append((trio.current_time(), state))

    def since(self, state: State) -> float | None:
        """When it came into this state; None if never."""
        return next((at for at, was in self.states if was == state), None)

    def instruct(self, activity: Activity) -> None:
        """Do this instead of what it does."""
        self.next = activity
        self.doing.cancel()

    def hears(self, audio: bytes) -> None:
        """The person hears this (mu-law at 8 kHz), behind what already sounds."""
        self.queue.media(trio.current_time(), audio)

    def hears_no_more(self) -> None:
        """What does not sound yet is forgotten."""
        self.queue.clear(trio.current_time())
