"""The agent of the benchmark: what it says, and the embedded voice in which it says it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from callengine.audio import TELEPHONE, AudioFormat, Resampler, from_pcm
from callengine.ports import Message, SessionContext, SpeechChunk, TtsSession
from callengine.providers.local.hibari import SAMPLE_RATE, HibariVoice

FIRST_AUDIO = 0.1
"""Seconds from a sentence to its first audio."""
CHUNK = 0.1
SPEED = 10.0
"""How many times faster than speech the rest of it comes."""

LONG = (
    "We have a lovely table in the corner by the window, which seats up to six people. It is free from half past "
    "seven onwards, and you may keep it for the whole evening if you like.",
    "The tasting menu has seven courses and changes with the season. At the moment it begins with smoked trout, and "
    "the main course is a shoulder of lamb that has been in the oven since the morning.",
    "Our kitchen closes at ten on weekdays and at eleven on Fridays and Saturdays. The bar stays open until one, and "
    "small plates are served there for as long as there is somebody to eat them.",
    "You will find us opposite the old theatre, two minutes from the tram stop. There is a garage behind the building, "
    "and the first two hours are free for our guests if they show the ticket at the desk.",
    "For larger parties we ask for a small deposit, which is taken off the bill afterwards. You can change the number "
    "of guests until noon on the day before, and nothing is charged for that.",
    "Most of our dishes can be made without gluten or dairy, and the soup of the day is always vegetarian. Please tell "
    "us about any allergy beforehand, so that the chef has the time to think of something nice.",
)
SHORT = (
    "Certainly, I will see to that.",
    "All right, that is done.",
    "Of course, let me note that down.",
    "Very well.",
)
ASKS = {
    "phone": "Could I have your phone number, please?",
    "email": "What is your e-mail address, please?",
    "spelling": "Could you spell your last name for me, please?",
    "date": "What day would you like to come?",
}


def answer(number: int, asks: str, *, long: bool) -> str:
    """What the agent says in an exchange."""
    words = LONG[number % len(LONG)] if long else SHORT[number % len(SHORT)]
    return f"{words} {ASKS[asks]}" if asks else words


class Lines:
    """What the scripted language model says next."""

    def __init__(self) -> None:
        self.next = ""

    def __call__(self, messages: Sequence[Message]) -> str:
        """The next reply, whatever was said before."""
        del messages
        return self.next


class AgentVoice:
    """The embedded voice, with a synthesiser's delays in virtual time. Each text is synthesised once."""

    name = "embedded voice"

    def __init__(self, voice: HibariVoice) -> None:
        self._voice = voice
        self._spoken: dict[str, bytes] = {}

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[TtsSession]:
        """See `callengine.ports.TextToSpeech`."""
        del context
        return self._session()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[TtsSession]:
        yield self

    @property
    def audio_format(self) -> AudioFormat:
        """See `callengine.ports.TtsSession`."""
        return TELEPHONE

    def synthesise(self, text: str) -> AbstractAsyncContextManager[AsyncIterator[SpeechChunk]]:
        """See `callengine.ports.TtsSession`."""
        return self._chunks(text)

    @trio.as_safe_channel
    async def _chunks(self, text: str) -> AsyncGenerator[SpeechChunk, None]:
        audio = self._speech(text)
        await trio.sleep(FIRST_AUDIO)
        size = round(CHUNK * TELEPHONE.sample_rate)
        for start in range(0, len(audio), size):
            yield SpeechChunk(audio[start : start + size])
            await trio.sleep(CHUNK / SPEED)

    def _speech(self, text: str) -> bytes:
        if text not in self._spoken:
            resampler = Resampler(SAMPLE_RATE, TELEPHONE.sample_rate)
            parts = [resampler.push(self._voice.speak(sounds)) for sounds in self._voice.phonemes(text)]
            self._spoken[text] = b"".join(from_pcm(part, "mulaw") for part in [*parts, resampler.flush()])
        return self._spoken[text]
