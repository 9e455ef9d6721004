"""What a caller notices of the agent: when it speaks, for how long, how soon it answers and falls silent, and gaps."""

from __future__ import annotations

from typing import Protocol

import attrs
import numpy as np

from callengine.audio import MULAW, Pcm, rms_dbfs
from callengine.testing.playout import PlayoutQueue, Stretch

AUDIBLE_DBFS = -45.0
"""Level of 20 ms from which somebody speaks; telephone lines hum at -65 to -55, voices speak at -35 to -15."""
HANGOVER = 0.6
"""Seconds of silence after which an utterance is over: longer than the pauses within sentences."""
LONGEST = 25.0
"""Seconds after which an utterance is cut in two, for the recogniser's sake."""
UNDERRUN = 0.4
"""Longest gap, in seconds, that counts as missing audio; what is longer is a pause between utterances."""
_FRAME = 160


@attrs.frozen
class Utterance:
    """Something that the agent said: audible from ``began`` to ``ended`` (times as the clock has them)."""

    began: float
    ended: float
    audio: bytes = attrs.field(repr=False)
    """mu-law at 8 kHz, from ``began`` on."""
    response: float | None = None
    """Seconds from the end of what the caller had said; None where this answers nothing."""
    cut_after: float | None = None
    """Seconds from the first sound of a caller who spoke into this, until it fell silent; None where nobody did."""

    @property
    def pcm(self) -> Pcm:
        return MULAW.decode(self.audio)


class EarEvents(Protocol):
    """Who is told of what is heard."""

    def agent_speaks(self, at: float, response: float | None) -> None: ...

    def agent_spoke(self, utterance: Utterance) -> None: ...

    def gap(self, at: float, seconds: float) -> None:
        """Audio was missing in the middle of speech."""


@attrs.define
class _Speaking:
    """The utterance that goes on."""

    began: float
    response: float | None
    last_sound: float
    audio: bytearray = attrs.field(factory=bytearray)
    cut_in: float | None = None


class Ear:
    """Listens to a playout queue. Call `listen` often, with the time."""

    def __init__(self, queue: PlayoutQueue, events: EarEvents) -> None:
        self._news = queue.listener()
        self._events = events
        self._heard_to = 0.0
        """Until when the queue has been heard, as far as it has played."""
        self._rest = b""
        self._speaking: _Speaking | None = None
        self._asked: float | None = None
        self._loud = False
        self._cleared_at = float("-inf")
        self.last_sound: float | None = None
        """When the agent was last audible."""

    @property
    def speaking_since(self) -> float | None:
        """Since when the agent speaks; None where it does not."""
        return None if self._speaking is None else self._speaking.began

    # --- what the caller does -----------------------------------------------------------------------------------------

    def caller_speaks(self, at: float) -> None:
        """The caller becomes audible."""
        self._asked = None
        if self._speaking is not None and self._speaking.cut_in is None:
            self._speaking.cut_in = at

    def caller_spoke(self, at: float) -> None:
        """The caller has fallen silent. What comes next of an agent that was silent before that is its answer."""
        if self._speaking is not None and self._speaking.last_sound < at:
            self._end()
        self._asked = at

    def cleared(self, at: float) -> None:
        """The server threw away what was not played by then: the gap that follows is meant."""
        self._cleared_at = at

    # --- what the agent does ------------------------------------------------------------------------------------------

    def listen(self, now: float) -> None:
        """Take in what was played by now."""
        for stretch in self._news(now):
            self._check_gap(stretch)
            self._hear(stretch)
        speaking = self._speaking
        if speaking is not None and now - speaking.last_sound >= HANGOVER:
            self._end()

    def finish(self, now: float) -> None:
        """The call is over: so is what the agent said."""
        self.listen(now)
        if self._speaking is not None:
            self._end()

    def _check_gap(self, stretch: Stretch) -> None:
        gap = stretch.start - self._heard_to
        if gap > 1e-3:
            meant = self._heard_to - 1e-3 <= self._cleared_at <= stretch.start
            if self._loud and gap <= UNDERRUN and not meant:
                self._events.gap(self._heard_to, gap)
            if self._speaking is not None:
                self._speaking.audio += MULAW.silence * round(gap * 8000)
            self._rest = b""

    def _hear(self, stretch: Stretch) -> None:
        audio = self._rest + stretch.audio
        start = stretch.start - len(self._rest) / 8000
        whole = len(audio) - len(audio) % _FRAME
        for at in range(0, whole, _FRAME):
            self._frame(start + at / 8000, audio[at : at + _FRAME])
        self._rest = audio[whole:]
        self._heard_to = stretch.start + len(stretch.audio) / 8000

    def _frame(self, start: float, frame: bytes) -> None:
        self._loud = rms_dbfs(MULAW.decode(frame)) > AUDIBLE_DBFS
        end = start + len(frame) / 8000
        if self._speaking is not None and start - self._speaking.last_sound >= HANGOVER:
            self._end()
        if self._loud:
            speaking = self._speaking or self._begin(start)
            if self._asked is not None and start > self._asked:
                self._asked = None  # it just goes on: what follows is no answer to the caller
            speaking.last_sound = self.last_sound = end
        if self._speaking is not None:
            self._speaking.audio += frame
            if end - self._speaking.began >= LONGEST:
                self._end()

    def _begin(self, at: float) -> _Speaking:
        response = None if self._asked is None else max(0.0, at - self._asked)
        self._asked = None
        self._speaking = _Speaking(at, response, at)
        self._events.agent_speaks(at, response)
        return self._speaking

    def _end(self) -> None:
        speaking = self._speaking
        assert speaking is not None
        self._speaking = None
        size = round((speaking.last_sound - speaking.began) * 8000)
        cut_after = None if speaking.cut_in is None else max(0.0, speaking.last_sound - speaking.cut_in)
        audio = bytes(speaking.audio[:size])
        self._events.agent_spoke(Utterance(speaking.began, speaking.last_sound, audio, speaking.response, cut_after))


def audible_part(audio: bytes) -> tuple[float, float] | None:
    """From when to when mu-law audio is audible, in seconds of it; None where it is not."""
    pcm = MULAW.decode(audio)
    frames = [rms_dbfs(pcm[at : at + _FRAME]) > AUDIBLE_DBFS for at in range(0, len(pcm), _FRAME)]
    loud = np.flatnonzero(frames)
    if not len(loud):
        return None
    return int(loud[0]) * 0.02, min((int(loud[-1]) + 1) * _FRAME, len(pcm)) / 8000
