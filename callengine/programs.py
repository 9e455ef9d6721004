"""What calls run: the engine's own program, one for each number, or what the application decides for this caller."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import attrs

from callengine.brain.agent import Agent
from callengine.call.story import Story, check_story
from callengine.errors import ConfigurationError
from callengine.reach import check_target
from callengine.telephony import IncomingCall, Refuse

Program: TypeAlias = Agent | Story
Decision: TypeAlias = Program | Refuse | None
Router: TypeAlias = Callable[[IncomingCall], Decision | Awaitable[Decision]]
"""The application's function for calls that come in: an agent or story for this caller, a `Refuse`, or None for what
the call would run anyway. It has ten seconds."""


@attrs.frozen
class Cast:
    """What a call runs: an agent, or a story with the agent that names its parts and settings."""

    agent: Agent
    story: Story | None = None


def check_program(program: Any, agent: Agent | None = None) -> Cast:
    """The cast of a program; ``agent`` goes with a story. Raises `ConfigurationError` for what cannot run."""
    if not isinstance(program, Agent):
        check_story(program)
        return Cast(agent or Agent(), program)
    if agent is not None:
        raise ConfigurationError("agent= goes with a story; this program is an agent already")
    if not (program.prompt or program.flow or program.greeting):
        raise ConfigurationError("an agent needs something to go by: give it a prompt, a flow or a greeting")
    return Cast(program)


class Programs:
    """Decides what a call runs. ``numbers`` maps called numbers to programs, ``router`` decides before that."""

    def __init__(self, default: Cast, numbers: Mapping[str, Program], router: Router | None) -> None:
        self.default = default
        self._numbers = {check_target(number): self.cast(program) for number, program in numbers.items()}
        self._router = router

    def cast(self, program: Program, agent: Agent | None = None) -> Cast:
        """The cast of a program; stories use the default's agent unless they bring one."""
        if isinstance(program, Agent):
            return check_program(program, agent)
        return check_program(program, agent or self.default.agent)

    @property
    def known(self) -> tuple[Cast, ...]:
        """Those that are known before any call."""
        return (self.default, *self._numbers.values())

    async def of(self, call: IncomingCall) -> Cast | Refuse:
        """What this call runs. What the router raises comes out of it."""
        if self._router is not None:
            decision = self._router(call)
            if inspect.isawaitable(decision):
                decision = await decision
            if isinstance(decision, Refuse):
                return decision
            if decision is not None:
                return self.cast(decision)
        try:
            number = check_target(call.callee)
        except ConfigurationError:  # a client's name, say
            return self.default
        return self._numbers.get(number, self.default)
