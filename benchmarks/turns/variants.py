"""What is compared: an agent's settings, by name."""

from __future__ import annotations

from typing import Any

import attrs

from callengine.errors import ConfigurationError
from callengine.turns.settings import Endpointing, Interruption, TurnSettings
from callengine.turns.voice_activity import VadSettings

DEFAULT = "default"


@attrs.frozen
class Variant:
    """What of an agent's settings has to do with turn-taking."""

    name: str
    about: str
    turns: TurnSettings = TurnSettings()
    vad: VadSettings = VadSettings()
    smart_turn: bool = False
    """Whether the end-of-turn model is asked."""


def _fixed(seconds: float) -> Variant:
    endpointing = Endpointing(
        mode="fixed",
        min_delay=seconds,
        doubt_delay=seconds,
        max_delay=seconds,
        entity_delay=seconds,
        infer_entities=False,
    )
    silence = min(seconds, VadSettings().min_silence)
    return Variant(
        f"fixed-{seconds * 1000:.0f}",
        f"a turn ends after {seconds:g} s of silence",
        TurnSettings(endpointing=endpointing),
        VadSettings(min_silence=silence),
    )


def _soft(mode: Any, about: str) -> Variant:
    return Variant(mode, about, TurnSettings(interruption=Interruption(mode=mode)))


_NAMED = (
    Variant(DEFAULT, "an agent without any settings"),
    _soft("cut", "what sounds like an interruption ends the reply at once"),
    _soft("duck", "the agent goes on quietly until an interruption is sure"),
    _soft("pause", "the agent pauses until an interruption is sure"),
    _fixed(0.3),
    _fixed(0.5),
    _fixed(0.8),
    Variant("words", "the words decide, without learning", TurnSettings(endpointing=Endpointing(mode="fixed"))),
    Variant("smart-turn", "the end-of-turn model is asked as well", smart_turn=True),
)
VARIANTS = {variant.name: variant for variant in _NAMED}


def variant(spec: str) -> Variant:
    """A variant by its name, perhaps with other values, perhaps under another name:
    ``hasty:default+vad.min_silence=0.2+turns.endpointing.min_delay=0.2``.

    Raises `ConfigurationError` for names that do not exist.
    """
    alias, _, settings = spec.rpartition(":")
    name, *changes = settings.split("+")
    if name not in VARIANTS:
        raise ConfigurationError(f"there is no variant {name!r}: there are {', '.join(VARIANTS)}")
    found: Variant = VARIANTS[name]
    for change in changes:
        path, equals, value = change.partition("=")
        if not equals:
            raise ConfigurationError(f"{change!r}: write setting=value, as in vad.min_silence=0.2")
        found = _changed(found, path.split("."), value)
    return attrs.evolve(found, name=alias or settings)


def _changed(settings: Any, path: list[str], value: str) -> Any:
    """These settings with another value, somewhere inside."""
    first, *rest = path
    if first not in attrs.fields_dict(type(settings)):
        raise ConfigurationError(f"{type(settings).__name__} has no setting {first!r}")
    old = getattr(settings, first)
    return attrs.evolve(settings, **{first: _changed(old, rest, value) if rest else _parsed(value, old)})


def _parsed(value: str, like: object) -> object:
    """A value of the same type as another."""
    if isinstance(like, bool):
        return value.lower() in ("true", "yes", "on", "1")
    if isinstance(like, int | float):
        return float(value)
    return value
