"""How the engine takes turns: settings with their defaults and where those come from."""

from __future__ import annotations

import attrs

from callengine.errors import ConfigurationError


def _not_negative(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not value >= 0:
        raise ConfigurationError(f"{attribute.name} is {value}: give seconds, 0 or more")


@attrs.frozen(kw_only=True)
class TurnSettings:
    """Turn-taking of a call. Times in seconds."""

    barge_in: bool = True
    """Whether the caller can interrupt. Without it replies are finished, and what the caller said meanwhile is
    answered afterwards."""
    min_interruption: float = attrs.field(default=0.2, validator=_not_negative)
    """How long the caller must have been speaking, from the onset, before an audible reply is cut. A cough is
    shorter, and people who talk over each other decide within about this time."""
    final_timeout: float = attrs.field(default=3.0, validator=_not_negative)
    """How long after the end of speech a final transcript is waited for. Then the last interim counts, or the agent
    says that it did not understand: a stuck recogniser must not become silence on the line."""
    resume: bool = True
    """Whether the agent says the rest of a reply that was cut by a sound without words (a cough, a door)."""
