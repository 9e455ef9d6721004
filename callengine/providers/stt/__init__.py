"""Recognisers, one file a vendor: ``stt.Deepgram()``. Each is imported when it is asked for."""

from typing import TYPE_CHECKING

from callengine.providers.catalogue import lazily

if TYPE_CHECKING:
    from callengine.providers.local.named import Local
    from callengine.providers.stt.assemblyai import AssemblyAI
    from callengine.providers.stt.azure import Azure
    from callengine.providers.stt.cartesia import Cartesia
    from callengine.providers.stt.deepgram import Deepgram
    from callengine.providers.stt.deepgram_flux import DeepgramFlux
    from callengine.providers.stt.elevenlabs import ElevenLabs
    from callengine.providers.stt.openai import OpenAI
    from callengine.providers.stt.soniox import Soniox
    from callengine.providers.stt.speechmatics import Speechmatics
    from callengine.providers.stt.whisper import Whisper
else:
    __getattr__ = lazily(__name__)

__all__ = [
    "AssemblyAI",
    "Azure",
    "Cartesia",
    "Deepgram",
    "DeepgramFlux",
    "ElevenLabs",
    "Local",
    "OpenAI",
    "Soniox",
    "Speechmatics",
    "Whisper",
]


def __dir__() -> list[str]:
    return __all__
