"""Synthesisers, one file a vendor: ``tts.Cartesia()``. Each is imported when it is asked for."""

from typing import TYPE_CHECKING

from callengine.providers.catalogue import lazily

if TYPE_CHECKING:
    from callengine.providers.local.named import Local
    from callengine.providers.tts.azure import Azure
    from callengine.providers.tts.cartesia import Cartesia
    from callengine.providers.tts.deepgram import Deepgram
    from callengine.providers.tts.elevenlabs import ElevenLabs
    from callengine.providers.tts.elevenlabs_http import ElevenLabsHttp
    from callengine.providers.tts.inworld import Inworld
    from callengine.providers.tts.openai import OpenAI
    from callengine.providers.tts.rime import Rime
else:
    __getattr__ = lazily(__name__)

__all__ = [
    "Azure",
    "Cartesia",
    "Deepgram",
    "ElevenLabs",
    "ElevenLabsHttp",
    "Inworld",
    "Local",
    "OpenAI",
    "Rime",
]


def __dir__() -> list[str]:
    return __all__
