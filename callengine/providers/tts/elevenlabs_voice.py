"""What a voice of ElevenLabs is asked for, on whichever way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from callengine.audio.format import AudioFormat
from callengine.errors import ConfigurationError
from callengine.providers.elevenlabs_account import language_code
from callengine.providers.fields import extra_field, key_field, positive, present

VOICE = "JBFqnCBsd6RMkjVDRZzb"
""""George", the voice of the vendor's own quickstart (elevenlabs.io/docs, "Text to Speech")."""

RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
"""Hz of linear audio that it makes; mu-law and A-law are made at 8000."""


def _share(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not 0.0 <= value <= 1.0:
        raise ConfigurationError(f"{attribute.name}={value}: ElevenLabs takes 0 to 1")


@attrs.frozen
class ElevenLabsVoice:
    """The settings of a voice. None leaves one to what the account has stored for the voice."""

    voice: str = attrs.field(default=VOICE, validator=present)
    """The voice's id."""
    model: str = attrs.field(default="eleven_flash_v2_5", validator=present)
    api_key: str = key_field("ELEVENLABS_API_KEY")
    language: str = attrs.field(default="", kw_only=True)
    """A code such as ``de``; empty: the call's, for models that take one."""
    stability: float | None = attrs.field(default=None, validator=_share, kw_only=True)
    """0 (lively) to 1 (even)."""
    similarity: float | None = attrs.field(default=None, validator=_share, kw_only=True)
    """0 to 1: how close it stays to the original voice."""
    style: float | None = attrs.field(default=None, validator=_share, kw_only=True)
    """0 to 1: exaggerates the manner of speech, and takes longer."""
    speaker_boost: bool | None = attrs.field(default=None, kw_only=True)
    """More of the original speaker; takes longer."""
    speed: float | None = attrs.field(default=None, kw_only=True)
    """0.7 to 1.2 times the voice's pace."""
    normalization: str = attrs.field(default="", kw_only=True)
    """Whether numbers and the like are written out before they are read: ``auto``, ``on`` or ``off``. Empty: as the
    vendor has it for the model."""
    logging: bool = attrs.field(default=True, kw_only=True)
    """False asks the vendor to keep nothing (its zero retention mode, for accounts that have it)."""
    extra: Mapping[str, Any] = extra_field()
    """More settings, where the vendor has those of this recipe."""
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds to connect."""

    def __attrs_post_init__(self) -> None:
        if self.speed is not None and not 0.7 <= self.speed <= 1.2:
            raise ConfigurationError(f"speed={self.speed}: ElevenLabs speaks at 0.7 to 1.2 times a voice's pace")
        if self.normalization not in ("", "auto", "on", "off"):
            raise ConfigurationError(f"normalization={self.normalization!r}: use 'auto', 'on' or 'off'")

    def manner(self) -> dict[str, Any]:
        """The vendor's ``voice_settings``; empty where none is set."""
        manner = {
            "stability": self.stability,
            "similarity_boost": self.similarity,
            "style": self.style,
            "use_speaker_boost": self.speaker_boost,
            "speed": self.speed,
        }
        return {name: value for name, value in manner.items() if value is not None}

    def code(self, language: str) -> str | None:
        """The language to ask for in a call in this ``language``. None where the model finds it in the text, and
        refuses to be told (elevenlabs.io/docs, "Create speech": ``language_code``)."""
        if self.language:
            return language_code(self.language)
        return None if self.model.endswith("_v2") or self.model.endswith("_v1") else language_code(language)


def spoken_format(line: AudioFormat) -> AudioFormat:
    """The format to ask for: the line's own where the vendor makes it."""
    companded = line.encoding in ("mulaw", "alaw") and line.sample_rate == 8000
    linear = line.encoding == "l16" and line.sample_rate in RATES
    return line if companded or linear else AudioFormat("l16", 16000)
