"""Hold: music for a caller who waits, in the background of his call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from callengine.audio.clip import Clip


class Hold:
    """Plays music from `begin` to `end`, over and over. What the program says meanwhile comes between two rounds."""

    def __init__(self, play: Callable[[Clip], Awaitable[object]]) -> None:
        self._play = play
        self._music: Clip | None = None
        self._begun = trio.Event()
        self._playing = trio.CancelScope()

    @property
    def on(self) -> bool:
        """Whether the caller is on hold."""
        return self._music is not None

    def begin(self, music: Clip) -> None:
        """Begin, or change the music from the next round on."""
        self._music = music
        self._begun.set()

    def end(self) -> None:
        """Silence the music, now. Does nothing where there is none."""
        self._music = None
        self._begun = trio.Event()
        self._playing.cancel()

    async def run(self) -> None:
        """Play whenever the caller is on hold."""
        while True:
            await self._begun.wait()
            with trio.CancelScope() as self._playing:
                while self._music is not None:
                    await self._play(self._music)
