"""What a call is made with: the providers it uses, and the services that all calls share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from callengine.ports import EchoCanceller, LanguageModel, SpeechToText, TextToSpeech
from callengine.services.metronome import Metronome
from callengine.services.vad_bank import VadBank

if TYPE_CHECKING:
    from callengine.brain.dialogue import PreparedFlow
    from callengine.call.story import StoryThreads


@attrs.frozen
class CallParts:
    """An agent's parts, found and loaded. Shared by all its calls."""

    stt: SpeechToText
    tts: TextToSpeech
    llm: LanguageModel | None = None
    flow: PreparedFlow | None = None
    echo: EchoCanceller | None = None


@attrs.frozen
class Services:
    """The arithmetic that all calls of an engine share."""

    metronome: Metronome
    vad_bank: VadBank
    story_threads: StoryThreads
