"""What every simulated call goes through, and the delays that are known beforehand."""

from __future__ import annotations

import json
from typing import Literal

import attrs

from callengine.brain.sentences import SentenceChunker
from callengine.call.settings import SenderSettings
from callengine.cli.serve import GC_THRESHOLDS
from callengine.turns.settings import Endpointing, Interruption, TurnSettings
from callengine.turns.voice_activity import VadSettings

CHARACTERS_A_SECOND = 15.0
"""Of the scripted voice: about 180 words a minute."""


@attrs.frozen(kw_only=True)
class Scenario:
    """The script of a call, and of its providers. Times in seconds.

    The delays of the providers are of the size that streaming services have; as they are exact, they can be taken off.
    """

    providers: Literal["scripted", "loopback"] = "scripted"
    """In the engine's process (`benchmarks.calls_per_core.providers`), or vendors behind their own protocols over the
    loopback: a recogniser and a voice on a WebSocket each, a language model over HTTP."""
    vendors: str = ""
    """Where those are, as in ``127.0.0.1:40123``; set when they are up."""
    speech: Literal["recorded", "tone"] = "recorded"
    """What the caller says: recorded speech with Silero, or short tones, for the shortest turns (see `ToneVad`)."""
    aec: Literal["off", "auto", "on"] = "off"
    gc_threshold: int = GC_THRESHOLDS[0]
    """Of the garbage collector's youngest generation in the engine's process, as `callengine serve` sets it (and the
    older ones). 0 leaves Python's own."""
    greeting: str = "Chez Trio, good evening! How can I help?"
    reply: str = "Certainly, I have a table free at eight. Shall I book it for you?"
    stt_final: float = attrs.Factory(lambda self: 0.0 if self.providers == "loopback" else 0.1, takes_self=True)
    """After the order to finish an utterance; over the loopback it is given when the caller pauses."""
    llm_first: float = 0.15
    llm_gap: float = 0.01
    tts_first: float = 0.08
    tts_chunk: float = 0.2
    tts_speed: float = 10.0
    think: float = 0.6
    """The caller's silence between the end of a reply and his next words."""
    patience: float = 5.0
    """How long a caller waits for an answer before he speaks again, and the turn counts as missed."""
    interrupt_every: int = 3
    interrupt_after: float = 1.5
    """Into the reply's playout."""
    min_interruption: float = attrs.field(default=Interruption().min_duration)
    min_speech: float = attrs.field(default=VadSettings().min_speech)
    pause: float = attrs.field(default=VadSettings().pause)
    min_silence: float = attrs.field(default=VadSettings().min_silence)

    @property
    def vad(self) -> VadSettings:
        """The agent's."""
        return VadSettings(min_speech=self.min_speech, pause=self.pause, min_silence=self.min_silence)

    @property
    def turns(self) -> TurnSettings:
        """The agent's."""
        return TurnSettings(
            interruption=Interruption(mode="cut", min_duration=self.min_interruption, guard=0.0),
            endpointing=Endpointing(mode="fixed", min_delay=0.0, doubt_delay=0.0, max_delay=0.0),
        )

    @property
    def tokens(self) -> list[str]:
        """The reply as the language model streams it: word by word."""
        first, *others = self.reply.split(" ")
        return [first, *(f" {word}" for word in others)]

    @property
    def provider_delay(self) -> float:
        """From the order to finish an utterance to the reply's first audio, as the providers are scripted.

        A recogniser behind a WebSocket is asked for its final at the caller's pause already, and has had the time until
        the VAD's decision. Not so in one turn of a hundred, which make the tail: there it takes no time of its own.
        """
        final = self.stt_final
        if self.providers == "loopback":
            final = max(0.0, final - (self.min_silence - self.pause))
        chunker = SentenceChunker()
        pieces = (chunker.push(token) for token in self.tokens)
        waited_for = next((index for index, found in enumerate(pieces) if found), len(self.tokens) - 1)
        return final + self.llm_first + waited_for * self.llm_gap + self.tts_first

    @property
    def cycle(self) -> float:
        """About how long a turn takes; only to spread a turn's cost over time."""
        return 2.5 + self.min_silence + self.provider_delay + len(self.reply) / CHARACTERS_A_SECOND + self.think

    def to_json(self) -> str:
        """For the other process."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Scenario:
        """The other process's."""
        return cls(**json.loads(text))


SENDER = SenderSettings()
REFILL = SENDER.lead - SENDER.slice / 2
"""Seconds of playout that are left when the sender is to send its next slice."""

SHORT_TURNS = Scenario(
    speech="tone",
    greeting="Hello.",
    reply="Yes. " + "That is so, and that is so again. " * 2,
    stt_final=0.01,
    llm_first=0.01,
    llm_gap=0.0,
    tts_first=0.01,
    think=0.1,
    interrupt_every=1,
    interrupt_after=0.06,
    min_interruption=0.08,
    min_speech=0.032,
    pause=0.064,
    min_silence=0.064,
)
"""Three turns a second and call, each of them interrupted: for figures at one call that need many turns."""
