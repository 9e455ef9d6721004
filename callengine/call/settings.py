"""Limits and deadlines of a call, with their defaults."""

from __future__ import annotations

import math
from typing import Any

import attrs

from callengine.call.turn_detection import TurnDetectionSettings
from callengine.errors import ConfigurationError


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"{attribute.name} is {value}: give a number above 0")


def _negative(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not -math.inf < value < 0:
        raise ConfigurationError(f"{attribute.name} is {value}: give a number of dB below 0, such as -14")


@attrs.frozen(kw_only=True)
class SenderSettings:
    """How the agent's audio goes out. Times in seconds.

    The first fill is ``first_slices`` slices of ``first_slice`` seconds at once; then slices of ``slice`` seconds
    keep the carrier's buffer at about ``lead``: between half a slice less and half a slice more. A slice is as much
    as can be lost or repeated at a cut, and each has its mark; a smaller lead leaves less margin for the network's
    jitter.
    """

    first_slices: int = attrs.field(default=3, validator=_positive)
    first_slice: float = attrs.field(default=0.04, validator=_positive)
    slice: float = attrs.field(default=0.1, validator=_positive)
    lead: float = attrs.field(default=0.12, validator=_positive)
    max_buffered: float = attrs.field(default=30.0, validator=_positive)
    """Synthesised audio that may wait on this side; a synthesiser that is further ahead waits."""
    mark_grace: float = attrs.field(default=0.5, validator=_positive)
    """How long after the end of playout (by the clock and the round trip) the last mark is waited for."""
    duck_gain: float = attrs.field(default=-14.0, validator=_negative)
    """dB by which a ducked reply is quieter: a fifth of the amplitude, as Android's media3 player ducks
    (``AudioFocusManager.VOLUME_MULTIPLIER_DUCK``). The caller hears that he is heard, and can still follow."""
    duck_ramp: float = attrs.field(default=0.05, validator=_positive)
    """How long the way down, and up again, takes: several periods of the lowest voice, so that nothing clicks, and
    half a slice, so that it is over with the first slice that can still be changed."""

    def __attrs_post_init__(self) -> None:
        if self.lead <= self.slice / 2:
            raise ConfigurationError(
                f"lead is {self.lead:g} s and slice {self.slice:g} s: the lead must be more than half a slice, "
                "or the carrier runs dry between slices"
            )

    @property
    def jitter(self) -> float:
        """How late a slice may come without the carrier running dry. The clock is taken to be no more wrong."""
        return self.lead - self.slice / 2


@attrs.frozen(kw_only=True)
class CallSettings:
    """Limits and deadlines of a call. Times in seconds."""

    sender: SenderSettings = SenderSettings()
    ring: float = attrs.field(default=30.0, validator=_positive)
    """The caller's audio that a call remembers, for recognisers that come late."""
    cleanup: float = attrs.field(default=0.25, validator=_positive)
    """Once the carrier's leg is gone, everything of the call is released within this time."""
    goodbye: float = attrs.field(default=5.0, validator=_positive)
    """How long a polite end may take: the carrier's own close, after ours."""
    last_words: float = attrs.field(default=10.0, validator=_positive)
    """How long the farewell of a call that is given up or drained may take, its synthesis included."""
    story_grace: float = attrs.field(default=5.0, validator=_positive)
    """How long a story may go on after its call ended: its own last words to its database."""
    stt_block: float = attrs.field(default=0.1, validator=_positive)
    """Audio in one message to a recogniser: a send costs the same whatever its size."""
    stt_attempts: int = attrs.field(default=4, validator=_positive)
    """Sessions that are tried in a row before a deaf call is given up (with pauses of 0.25, 0.5 and 1 s)."""
    reply_budget: float = attrs.field(default=10.0, validator=_positive)
    """How long the first audio of a reply may be waited for: the model, the voice, and whoever stands in for them,
    share it. Tools have times of their own."""
    text_stall: float = attrs.field(default=10.0, validator=_positive)
    """How long the text of a reply may pause in the middle; then the reply ends with what there is."""
    audio_stall: float = attrs.field(default=5.0, validator=_positive)
    """How long the audio of a sentence may pause in the middle; then it is gone on with anew."""
    max_tool_rounds: int = attrs.field(default=8, validator=_positive)
    """How often in one turn a model may call tools and be asked again with their results; then it is asked without
    tools. A caller waits for all of them: more than that is a model that goes round in circles."""
    commit_timeout: float = attrs.field(default=5.0, validator=_positive)
    """How long a tool that commits may go on after its call ended."""
    max_failures: int = attrs.field(default=3, validator=_positive)
    """Replies in a row that may fail before the call is given up."""
    turn_detection: TurnDetectionSettings = TurnDetectionSettings()
    max_facts: int = attrs.field(default=1000, validator=_positive)
    """Control events that may wait for the conductor; one more ends the call as overloaded."""
