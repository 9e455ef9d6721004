"""The simulated caller: does one thing after the other, and waits for his turn unless told otherwise."""

from __future__ import annotations

import attrs
import numpy as np
import trio

from callengine.audio import MULAW, Pcm, rms_dbfs
from callengine.cli.simulation.ear import AUDIBLE_DBFS
from callengine.cli.simulation.report import count
from callengine.cli.simulation.script import Action, HangUp, Hears, Interrupt, Play, Press, Say, Wait
from callengine.cli.simulation.speech import Speech
from callengine.cli.simulation.witness import Witness
from callengine.testing.carrier import Leg
from callengine.testing.side import FRAME

KEY = 0.2
"""Seconds from key to key."""
LONGEST_TURN = 120.0
"""Seconds that the agent is let speak before the caller stops being polite."""


@attrs.frozen(kw_only=True)
class Manners:
    """How long the caller waits, in seconds."""

    pause: float = 0.6
    """Silence after the agent's words before he speaks."""
    patience: float = 15.0
    """For a silent agent to say something; then he speaks all the same, and `Hears` and `Interrupt` have failed."""


class Mouth:
    """What a leg's caller says, frame by frame: a `callengine.testing.carrier.Leg.background` that adds nothing."""

    def __init__(self) -> None:
        self.open = trio.Event()
        """Set with the first frame: the stream stands."""
        self.frames: list[bytes] = []
        self.first_loud: float | None = None
        self.last_loud: float | None = None
        """When the caller was first and last audible since `start`."""
        self.loud = trio.Event()

    def __call__(self, due: float, frame: bytes) -> bytes:
        self.open.set()
        self.frames.append(frame)
        if rms_dbfs(MULAW.decode(frame)) > AUDIBLE_DBFS:
            self.last_loud = due
            if self.first_loud is None:
                self.first_loud = due - FRAME
                self.loud.set()
        return frame

    def start(self) -> None:
        """Something else will be said."""
        self.first_loud = self.last_loud = None
        self.loud = trio.Event()

    @property
    def pcm(self) -> Pcm:
        """Everything so far, at 8 kHz, silence included."""
        return MULAW.decode(b"".join(self.frames)) if self.frames else np.zeros(0, np.int16)


class Caller:
    """Performs actions on a leg."""

    def __init__(self, leg: Leg, mouth: Mouth, witness: Witness, speech: Speech, manners: Manners) -> None:
        self._leg = leg
        self._mouth = mouth
        self._witness = witness
        self._speech = speech
        self._manners = manners
        self._spoke_at = float("-inf")
        """When the caller had last done something that wants an answer."""
        self._at_once = False

    async def perform(self, action: Action, *, at_once: bool = False) -> bool:
        """Do this; whether the call shall go on. With ``at_once`` the agent is not let finish."""
        self._at_once = self._at_once or at_once
        if isinstance(action, Say | Play):
            await self._speak(action)
        elif isinstance(action, Press):
            await self._press(action)
        elif isinstance(action, Wait):
            await trio.sleep(action.seconds)
            self._at_once = True
        elif isinstance(action, Hears):
            return await self._hear(action)
        elif isinstance(action, Interrupt):
            return await self._let_speak(action)
        return not isinstance(action, HangUp)

    async def hear_out(self) -> None:
        """Let the agent answer what was said last, or greet, and finish."""
        await self._agent_speaks(self._spoke_at)
        await self._agent_is_silent(max(self._manners.pause, 1.0))

    async def _speak(self, action: Say | Play) -> None:
        audio = await self._speech.of(action)
        await self._wait_for_turn()
        self._mouth.start()
        said = self._leg.speak(audio)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_when_audible, action)
            await said.wait()
            nursery.cancel_scope.cancel()
        if self._mouth.last_loud is not None:
            self._witness.caller_spoke(self._mouth.last_loud)
        self._spoke_at = trio.current_time()

    async def _tell_when_audible(self, action: Say | Play) -> None:
        await self._mouth.loud.wait()
        assert self._mouth.first_loud is not None
        what = f'"{action.text}"' if isinstance(action, Say) else action.path.name
        self._witness.caller_speaks(self._mouth.first_loud, what)

    async def _press(self, action: Press) -> None:
        await self._wait_for_turn()
        number = len(action.digits)
        self._witness.tell("caller presses", trio.current_time(), f"caller presses {count(number, 'key')}", keys=number)
        for digit in action.digits:
            self._leg.press(digit)
            await trio.sleep(KEY)
        self._witness.caller_spoke(trio.current_time() - KEY)
        self._spoke_at = trio.current_time()

    async def _wait_for_turn(self) -> None:
        if self._at_once:
            self._at_once = False
            return
        await self._agent_speaks(self._spoke_at)
        await self._agent_is_silent(self._manners.pause)

    async def _hear(self, action: Hears) -> bool:
        deadline = trio.current_time() + self._manners.patience
        longest = trio.current_time() + LONGEST_TURN
        while trio.current_time() < min(deadline, longest):
            with trio.move_on_at(min(deadline, longest)):
                await self._witness.heard.wait(action.wanted)
                return True
            last_sound = self._witness.ear.last_sound
            if last_sound is not None:  # it speaks, or has just spoken and is still to be understood
                deadline = max(deadline, last_sound + self._manners.patience)
        self.miss(action)
        return False

    async def _let_speak(self, action: Interrupt) -> bool:
        self._at_once = True
        ear = self._witness.ear
        deadline = trio.current_time() + self._manners.patience
        while trio.current_time() < deadline:
            since, last = ear.speaking_since, ear.last_sound
            if since is not None and last is not None and last >= since + action.after - 1e-6:
                return True
            await trio.sleep(FRAME)
        self.miss(action)
        return False

    def miss(self, action: Action) -> None:
        """What the script waited for did not come."""
        if isinstance(action, Interrupt):
            self._witness.fail(f"the agent did not speak for {action.after:g} s, to be interrupted")
        elif isinstance(action, Hears):
            wanted = " or ".join(map(repr, action.wanted)) or "something"
            self._witness.fail(f"waited to hear {wanted}; heard {self._witness.heard.rest!r}")

    async def _agent_speaks(self, since: float) -> None:
        """Wait until the agent was audible after this time, as long as patience lasts."""
        ear = self._witness.ear
        with trio.move_on_after(self._manners.patience):
            while True:
                if ear.last_sound is not None and ear.last_sound > since:
                    return
                await trio.sleep(FRAME)

    async def _agent_is_silent(self, pause: float) -> None:
        """Wait until the agent has not been audible for so long."""
        ear = self._witness.ear
        with trio.move_on_after(LONGEST_TURN):
            while True:
                if ear.last_sound is None or trio.current_time() >= ear.last_sound + pause:
                    return
                await trio.sleep_until(ear.last_sound + pause)
