"""How the engine takes turns: settings with their defaults and where those come from. Times in seconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import attrs

from callengine.errors import ConfigurationError
from callengine.turns.confirmation import AnySound, Confirmation, MinDuration, MinWords, StopWords
from callengine.turns.phrases import Phrases

InterruptionMode: TypeAlias = Literal["cut", "duck", "pause"]


def _not_negative(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 <= value < math.inf:
        raise ConfigurationError(f"{attribute.name} is {value}: give 0 or more")


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value < math.inf:
        raise ConfigurationError(f"{attribute.name} is {value}: give more than 0")


def _one_of(*known: str) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
        if value not in known:
            raise ConfigurationError(f"{attribute.name} is {value!r}: give {' or '.join(map(repr, known))}")

    return check


def _probability(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value < 1:
        raise ConfigurationError(f"{attribute.name} is {value}: give a probability between 0 and 1")


def _strategies(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    strategies = value if isinstance(value, tuple) else ()
    if not strategies or any(isinstance(each, type) or not hasattr(each, "confirms") for each in strategies):
        raise ConfigurationError(
            f"{attribute.name} is {value!r}: give a tuple of strategies such as (StopWords(), MinWords(2)), or None; "
            "to let nothing interrupt, give TurnSettings(barge_in=False)"
        )


def _yes_no_or_function(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not (isinstance(value, bool) or callable(value)):
        raise ConfigurationError(f"{attribute.name} is {value!r}: give True, False or a function of a transcript")


def _seconds(default: float) -> Any:
    return attrs.field(default=default, validator=_not_negative)


@attrs.frozen(kw_only=True)
class Interruption:
    """When the caller interrupts an agent that is audible, and what happens until that is certain.

    Sound that lasts for ``min_duration`` makes an interruption pending. What then happens is the ``mode``:

    - ``pause``: the agent falls silent; ``duck``: it goes on more quietly; ``cut``: it goes on as it was. Then a
      confirmation strategy ends the reply, or the agent carries on from the word that was not heard.
    - With ``cut`` and neither ``min_words`` nor ``confirm``, sound is confirmation enough: the reply ends at once.

    The defaults are chosen by ``python -m benchmarks.turns``: 95 % of interruptions silence the agent within 300 ms, in
    ``duck`` mode 55 %, and no backchannel of 138 ends the reply, where in ``cut`` mode nearly all do.
    """

    mode: InterruptionMode = attrs.field(default="pause", validator=_one_of("cut", "duck", "pause"))
    min_duration: float = _seconds(0.12)
    """Of sound, from its onset, while the agent is audible. The VAD needs about as long to be sure of speech; in
    ``cut`` mode 0.2 is better, which a cough is shorter than."""
    min_words: int = attrs.field(default=0, validator=_not_negative)
    """Words that must have been understood before the reply ends, while the agent is audible; 0: see ``mode``."""
    min_duration_silent: float = _seconds(0.0)
    """Of speech, for it to be a turn while the agent is silent. 0: whatever the VAD calls speech and has words."""
    min_words_silent: int = attrs.field(default=1, validator=_positive)
    """Words of a turn while the agent is silent."""
    short_speech: float = _seconds(0.95)
    """In ``pause`` and ``duck`` mode words count when the caller has paused behind them, and words of shorter speech
    only if they mean "stop": a recogniser writes anything for a hum ("My humble." for "mm-hm"). What they say is
    answered all the same, when the reply is over. With a recogniser that can be relied on, 0 is better."""
    long_speech: float = attrs.field(default=1.4, validator=_positive)
    """Speech that lasts as long is no backchannel: it confirms by itself, in ``pause`` and ``duck`` mode. The
    backchannels of the benchmark's callers last 0.43 to 1.35 s (``python -m benchmarks.turns``)."""
    guard: float = _seconds(0.3)
    """How long an audible reply is not disturbed by sound alone: the line's click, the echo canceller settling. Sound
    that goes on counts from then; one that was there before the reply was, a hum on the line, only when it lasts for
    ``long_speech``. Words always count."""
    confirm: tuple[Confirmation, ...] | None = attrs.field(default=None, validator=_strategies)
    """Strategies that confirm an interruption, any one of them, in place of ``min_words``; None: `StopWords`,
    `MinWords` and, in ``pause`` and ``duck`` mode, `MinDuration` with ``long_speech``."""
    window: float = attrs.field(default=1.5, validator=_positive)
    """How long an interruption may stay pending. Then the agent carries on, and it was a false one."""
    dtmf: bool = True
    """Whether a key interrupts."""
    backchannels: bool | Callable[[str], bool] = attrs.field(default=True, validator=_yes_no_or_function)
    """Whether words like "mm-hm" and "okay" are let pass while the agent is audible; a function of the transcript
    decides in place of the language's list. It must not block."""
    answer_overlap: float = _seconds(1.0)
    """Such words are an answer all the same when they come so shortly before the end of a question."""
    echo_guard: bool = True
    """Whether a transcript that repeats what the agent is saying counts as its echo."""

    def __attrs_post_init__(self) -> None:
        if self.confirm is not None and self.min_words:
            raise ConfigurationError(
                f"min_words is {self.min_words} and confirm is given: put MinWords({self.min_words}) into confirm"
            )

    @property
    def strategies(self) -> tuple[Confirmation, ...]:
        """What confirms an interruption under these settings."""
        if self.confirm is not None:
            return self.confirm
        if self.min_words:
            return (StopWords(), MinWords(self.min_words))
        if self.mode == "cut":
            return (AnySound(),)
        return (StopWords(), MinWords(1, interim=False, speech=self.short_speech), MinDuration(self.long_speech))


@attrs.frozen(kw_only=True)
class Endpointing:
    """When the caller's turn is over. All delays count from the end of his last sound.

    The engine cannot know before the VAD does: ``VadSettings.min_silence`` is the least that any delay can be. The
    defaults are chosen by ``python -m benchmarks.turns``, among those in docs/turn_taking.md: 8.7 % of turns are cut
    off at a median delay of 370 ms (2.2 % audibly), where 300 ms of silence for all cut off 30 %, and 800 ms 13 %.
    """

    mode: Literal["adaptive", "fixed"] = attrs.field(default="adaptive", validator=_one_of("adaptive", "fixed"))
    """``adaptive`` learns in each call how long this caller pauses; ``fixed`` keeps to the delays below."""
    min_delay: float = _seconds(0.25)
    """Behind what looks finished."""
    doubt_delay: float = _seconds(0.65)
    """Behind what may be finished: a comma at the end, nothing but a greeting, or a whole sentence of which the turn
    detector says that more is to come. Counts as no less than ``min_delay``, and no more than ``max_delay``."""
    max_delay: float = _seconds(1.6)
    """Behind what is not finished: a sentence that ends with "my"."""
    entity_delay: float = _seconds(1.6)
    """In the middle of something that the agent asked for: digits of a number, a spelled name."""
    threshold: float = attrs.field(default=0.5, validator=_probability)
    """Probability from which a turn detector's verdict means "finished" (smart-turn's own decision limit)."""
    infer_entities: bool = True
    """Whether the agent's questions tell what is expected next ("May I have your phone number?"; English only)."""

    def __attrs_post_init__(self) -> None:
        if self.max_delay < self.min_delay:
            raise ConfigurationError(
                f"max_delay is {self.max_delay} and min_delay {self.min_delay}: it must not be less"
            )


@attrs.frozen(kw_only=True)
class Preemption:
    """Replies that are begun before the caller's turn is surely over. Nothing of one is heard, and it does nothing,
    before his final words match; a reply that was begun for nothing costs tokens."""

    enabled: bool = False
    stable: float = _seconds(0.8)
    """How long an interim transcript must not have changed, where the caller has not paused: longer than interims are
    apart, which is 0.5 s with the embedded recogniser."""
    max_speech: float = attrs.field(default=10.0, validator=_positive)
    """No guess is made about a turn that has lasted longer."""
    tries: int = attrs.field(default=2, validator=_positive)
    """Guesses in one turn."""


@attrs.frozen(kw_only=True)
class TurnSettings:
    """Turn-taking of a call."""

    barge_in: bool = True
    """Whether the caller can interrupt. Without it replies are finished, and what the caller said meanwhile is
    answered afterwards."""
    interruption: Interruption = Interruption()
    endpointing: Endpointing = Endpointing()
    preemption: Preemption = Preemption()
    split: float = _seconds(0.6)
    """When the caller goes on (his first sound counts) before this much of the answer was audible, the answer is
    withdrawn, and both halves of what he said are answered as one. 0: only where nothing of it was audible."""
    final_timeout: float = _seconds(3.0)
    """How long after the end of speech a final transcript is waited for. Then the last interim counts, or the agent
    says that it did not understand: a stuck recogniser must not become silence on the line."""
    resume: bool = True
    """Whether the agent says the rest of a reply that was cut by a sound without words, or by a backchannel."""
    phrases: Phrases | None = None
    """The words of turn-taking; None: those of the agent's language."""
