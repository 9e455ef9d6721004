"""From probabilities of speech to facts about speech: one call's pure state machine.

The hysteresis is that of Silero's own ``VADIterator`` (silero-vad 6.2.3): silence begins with a window under the lower
threshold and is over with one at or above the upper threshold; windows in between leave things as they are.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from callengine.errors import ConfigurationError

WINDOW = 0.032
"""Seconds a probability stands for: the step of Silero VAD."""


def _probability(_: Any, field: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < 1:
        raise ConfigurationError(f"VadSettings.{field.name} is {value}: give a probability between 0 and 1")


def _not_negative(_: Any, field: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value < float("inf"):
        raise ConfigurationError(f"VadSettings.{field.name} is {value}: give seconds, 0 or more")


@attrs.frozen(kw_only=True)
class VadSettings:
    """When speech counts as started, paused and stopped. Raises `ConfigurationError` for what cannot work."""

    start_threshold: float = attrs.field(default=0.5, validator=_probability)
    """Probability from which a window is speech (Silero's default)."""
    stop_threshold: float = attrs.field(default=0.35, validator=_probability)
    """Probability under which a window is silence (Silero's default: 0.15 below the start)."""
    barge_in_threshold: float = attrs.field(default=0.18, validator=_probability)
    """The same as ``start_threshold``, while the agent is audible on a line without an echo: sound only pauses it, and
    every window of doubt is one in which both speak. Silero is late to be sure of a voice behind a long silence: with
    0.5, 80 % of the interruptions of ``python -m benchmarks.turns`` silence the agent within 0.3 s, with this 95 %."""
    min_speech: float = attrs.field(default=0.096, validator=_not_negative)
    """Seconds of windows above the start threshold before speech has started: three, so that a click or a knock is
    none."""
    pause: float = attrs.field(default=0.128, validator=_not_negative)
    """Seconds of silence after which a pause is reported: four windows, so that a recogniser may decode ahead of the
    stop without doing so at every closure of a plosive."""
    min_silence: float = attrs.field(default=0.256, validator=_not_negative)
    """Seconds of silence after which speech has stopped: eight windows, the shortest delay that an answer can have.
    Whether the turn is over is not decided here."""
    pre_roll: float = attrs.field(default=0.3, validator=_not_negative)
    """Seconds before the onset that belong to the utterance: soft first sounds come before the first sure window."""
    sample_rate: int = attrs.field(default=8000)
    """Of the positions, in Hz."""

    @stop_threshold.validator
    def _below_start(self, _: Any, value: float) -> None:
        if value >= self.start_threshold:
            raise ConfigurationError(
                f"VadSettings.stop_threshold is {value}: keep it below start_threshold ({self.start_threshold}), "
                "by 0.15 as a rule"
            )

    @min_silence.validator
    def _beyond_pause(self, _: Any, value: float) -> None:
        if value < self.pause:
            raise ConfigurationError(
                f"VadSettings.min_silence is {value}: make it at least as long as pause ({self.pause})"
            )

    @sample_rate.validator
    def _positive(self, _: Any, value: int) -> None:
        if value <= 0:
            raise ConfigurationError(f"VadSettings.sample_rate is {value}: give the rate of the caller's audio in Hz")


@attrs.frozen
class VoiceStarted:
    """The caller speaks."""

    onset: int
    """Position of the first sample of the first window of speech."""
    audio_from: int
    """Where the utterance's audio starts: the pre-roll before the onset, or the start of the call."""


@attrs.frozen
class VoicePaused:
    """The caller has been silent for a moment. Left out where the same window makes it a stop."""

    since: int
    """Position at which the silence began."""


@attrs.frozen
class VoiceResumed:
    """The pause was only one: the caller speaks on."""


@attrs.frozen
class VoiceStopped:
    """The caller has stopped speaking."""

    ended: int
    """Position at which the silence began."""


VoiceFact: TypeAlias = VoiceStarted | VoicePaused | VoiceResumed | VoiceStopped
"""All positions are in samples of the caller's audio, from the start of the stream."""


class VoiceActivity:
    """Fed with one probability a window, in order, says what it means. No clock, no I/O."""

    def __init__(self, settings: VadSettings) -> None:
        self._settings = settings
        rate = settings.sample_rate
        self._window = round(WINDOW * rate)
        self._min_speech = round(settings.min_speech * rate)
        self._pause = round(settings.pause * rate)
        self._min_silence = round(settings.min_silence * rate)
        self._pre_roll = round(settings.pre_roll * rate)
        self.speaking = False
        """Between `VoiceStarted` and `VoiceStopped`."""
        self._paused = False
        self._silent_since: int | None = None
        self._onset = 0
        self._run = 0
        """Samples of sure windows since the onset."""
        self._dipped = False
        self._weak = False
        """Whether the utterance began by the lower threshold, and no window of it was sure yet."""

    @property
    def wavering(self) -> bool:
        """Whether, between `VoiceStarted` and `VoiceStopped`, the newest window was silence."""
        return self._silent_since is not None

    def feed(self, probability: float, position: int, *, faint_counts: bool = False) -> VoiceFact | None:
        """The next window: its probability of speech, and the position after its last sample. ``faint_counts``: the
        agent is audible, and what is heard is not its echo."""
        if self.speaking:
            return self._while_speaking(probability, position)
        settings = self._settings
        start, stop = settings.start_threshold, settings.stop_threshold
        if faint_counts and settings.barge_in_threshold < start:
            start, stop = settings.barge_in_threshold, min(stop, settings.barge_in_threshold / 2)
        return self._while_silent(probability, position, start, stop)

    def _while_silent(self, probability: float, position: int, start: float, stop: float) -> VoiceStarted | None:
        if probability >= start:
            self._weak = probability < self._settings.start_threshold and (self._weak or not self._run)
            if not self._run:
                self._onset = max(0, position - self._window)
            self._run += self._window
        elif not self._run or self._dipped or probability < stop:
            self._forget_run()
            return None
        else:
            # One unsure window is part of the run, but no evidence.
            self._dipped = True
            return None
        if self._run < self._min_speech:
            return None
        onset = self._onset
        self._forget_run()
        self.speaking = True
        return VoiceStarted(onset, max(0, onset - self._pre_roll))

    def _while_speaking(self, probability: float, position: int) -> VoiceFact | None:
        start, stop = self._settings.start_threshold, self._settings.stop_threshold
        if probability >= start:
            self._weak = False
        elif self._weak:
            start, stop = self._settings.barge_in_threshold, self._settings.barge_in_threshold / 2
        if probability >= start:
            resumed = self._paused
            self._paused = False
            self._silent_since = None
            return VoiceResumed() if resumed else None
        if probability >= stop:
            return None
        if self._silent_since is None:
            self._silent_since = max(0, position - self._window)
        since = self._silent_since
        if position - since >= self._min_silence:
            self.speaking = self._paused = False
            self._silent_since = None
            return VoiceStopped(since)
        if position - since >= self._pause and not self._paused:
            self._paused = True
            return VoicePaused(since)
        return None

    def _forget_run(self) -> None:
        self._run = 0
        self._dipped = False
