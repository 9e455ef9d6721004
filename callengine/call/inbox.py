"""The inbox: what a call's program has to deal with, in order, and whether the program waits for it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import trio

from callengine.call.items import CallerTurn, EndsSoon, Item, OpenTurn
from callengine.cleanup import unless
from callengine.turns.patience import Listening, Working


class Inbox:
    """Holds up to ``size`` items. ``post`` is told when the program begins to wait for one, and when it goes on."""

    def __init__(self, size: int, post: Callable[[Listening | Working], None]) -> None:
        self._items_in, self._items = trio.open_memory_channel[Item](size)
        self._post = post
        self._kept: deque[CallerTurn] = deque()
        """Turns that came while the program waited for others."""
        self._size = size
        self.waiting = False
        """Whether the program waits for the caller."""
        self.waited_until = -math.inf
        """When it last went on."""
        self.ends_soon = trio.Event()
        """Set when the call has lasted for almost as long as it may."""

    def put(self, item: Item) -> None:
        """Another item. Raises `trio.WouldBlock` when the program has let too many lie."""
        if len(self._kept) >= self._size:
            raise trio.WouldBlock
        self._items_in.send_nowait(item)

    async def next_item(self) -> Item:
        """The next item, whatever it is."""
        if self._items.statistics().current_buffer_used:
            return await self._items.receive()
        self.waiting = True
        self._post(Listening(trio.current_time()))
        try:
            return await self._items.receive()
        finally:
            self.waiting = False
            self.waited_until = trio.current_time()
            self._post(Working(trio.current_time()))

    async def next_turn(
        self, timeout: float | None, quiet: Callable[[], trio.Event], *, keyed: bool | None = None
    ) -> CallerTurn | None:
        """The caller's next turn (spoken or keyed in, if only that is wanted), or None after ``timeout`` seconds.

        ``quiet`` is set while he neither speaks nor keys anything in: where it is not when the time is up, he is heard
        out.
        """
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            return await self._turn(keyed)
        if not quiet().is_set():
            finished, turn = await unless(quiet(), lambda: self._turn(keyed))
            if finished:
                return turn
        while self._items.statistics().current_buffer_used:
            wanted = self._wanted(self._items.receive_nowait(), keyed)
            if wanted is not None:
                return wanted
        return None

    async def _turn(self, keyed: bool | None) -> CallerTurn:
        for turn in self._kept:
            if keyed in (None, turn.keyed):
                self._kept.remove(turn)
                return turn
        while True:
            wanted = self._wanted(await self.next_item(), keyed)
            if wanted is not None:
                return wanted

    def _wanted(self, item: Item, keyed: bool | None) -> CallerTurn | None:
        if isinstance(item, EndsSoon):
            self.ends_soon.set()
        if not isinstance(item, OpenTurn):
            return None
        if keyed in (None, item.turn.keyed):
            return item.turn
        self._kept.append(item.turn)
        return None
