"""An agent: everything that a call needs to know of who answers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import attrs

from callengine.audio.clip import Clip
from callengine.brain.tools.tool import Tool, check_tools
from callengine.errors import ConfigurationError
from callengine.ports import (
    Denoiser,
    EchoCanceller,
    EndOfTurn,
    EndOfTurnModel,
    LanguageModel,
    Opening,
    SpeechToText,
    TextToSpeech,
)
from callengine.reach import check_entries
from callengine.turns.digits import DigitSettings
from callengine.turns.patience import PatienceSettings
from callengine.turns.settings import TurnSettings
from callengine.turns.voice_activity import VadSettings

if TYPE_CHECKING:
    from callengine.brain.flow import Flow


def _positive(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"{attribute.name} is {value}: give seconds, more than 0")


def _recognisers(value: SpeechToText | Sequence[SpeechToText] | None) -> tuple[SpeechToText, ...]:
    return () if value is None else tuple(value) if isinstance(value, Sequence) else (value,)


def _models(value: LanguageModel | Sequence[LanguageModel] | None) -> tuple[LanguageModel, ...]:
    return () if value is None else tuple(value) if isinstance(value, Sequence) else (value,)


def _voices(value: TextToSpeech | Sequence[TextToSpeech] | None) -> tuple[TextToSpeech, ...]:
    return () if value is None else tuple(value) if isinstance(value, Sequence) else (value,)


@attrs.frozen(kw_only=True)
class Agent:
    """Who answers a call. Frozen, and shared by any number of calls; a call runs the agent it was offered.

    Parts that are not named are the embedded ones (``stt``, ``tts``), or found in the environment when the engine
    starts (``llm``: a named URL, a key, or an Ollama server on this machine).
    """

    prompt: str = ""
    """What a language model is told about its job. Without a model it is not followed: see ``flow``."""
    greeting: str | Clip = ""
    """The first thing said, as soon as the call is there: text, or a recording of it. Empty: the caller begins."""
    tools: tuple[Tool, ...] = attrs.field(default=(), converter=check_tools)
    """What its language model may call: functions made with `callengine.tools.tool`, or typed functions with a
    docstring, which are made tools here. A flow calls its own actions."""
    flow: Flow | None = None
    """A dialogue of intents and slots that answers instead of a language model."""
    language: str = "en"
    """BCP 47 tag, as in ``en`` or ``en-GB``. The embedded speech parts understand and speak English only."""
    stt: tuple[SpeechToText, ...] = attrs.field(default=None, converter=_recognisers)
    """One recogniser, or several: the second takes over where the first fails, and so on."""
    llm: tuple[LanguageModel, ...] = attrs.field(default=None, converter=_models)
    """One language model or several."""
    tts: tuple[TextToSpeech, ...] = attrs.field(default=None, converter=_voices)
    """One voice or several. A call stays with the one that took over."""
    hedged: tuple[Literal["llm", "tts"], ...] = ()
    """Roles in which the second provider is asked too when the first takes longer than its own p95, over the last 100
    answers that this engine had of it: the first answer counts. Both are paid for."""
    second_stt: SpeechToText | None = None
    """A recogniser that hears the same audio, for comparison: its transcripts are in the journal, and nowhere else."""
    on_session: Callable[[Opening], None] | None = None
    """Shown what each session (of language models, each request) is about to start with; it may change it in place."""
    prewarm: bool = True
    """Whether connections to the providers are opened while the telephone rings: those that cost nothing until they are
    used, as each recipe says (``idle_limit``). The call takes them over when it is answered."""
    prewarm_greeting: bool = False
    """Whether the greeting (a text) is synthesised while the telephone rings too, so that it is heard at once. It is
    paid for where nobody answers as well: `callengine.outbound.DialOutcome.wasted_characters` says how much."""
    turns: TurnSettings = TurnSettings()
    turn_detector: EndOfTurn | EndOfTurnModel | None = None
    """A model that listens whether the caller has finished, such as ``SmartTurn()``; None: his words and his silence
    decide."""
    vad: VadSettings = VadSettings()
    """When sound on the line counts as speech; ``sample_rate`` is set by the call."""
    aec: Literal["auto", "on", "off"] = "auto"
    """Echo cancellation ahead of the VAD and the recogniser (a recording has the line as it was). ``auto``, if a
    canceller is installed: throughout on a line where an echo was found, not at all on one without."""
    echo_canceller: EchoCanceller | None = None
    denoiser: Denoiser | None = None
    """Noise suppression behind echo cancellation, such as ``WebRtcDenoiser()``: everything that listens (VAD,
    recognisers, turn detector) hears the caller through it; a recording has the line as it was. It helps with loud,
    steady noise alone, and does harm where other people talk, so there is none unless you name it. One that fails is
    switched off for that call, and the journal says so."""
    thinking: tuple[str | Clip, ...] = ("One moment, please.", "I'm still on it, one moment.")
    """Fillers while a reply takes long, lines or sounds, one after the other and then the last one again; what is left
    of one is dropped when the reply comes. Empty for none."""
    thinking_after: float = attrs.field(default=2.5, validator=_positive)
    """Seconds of silence before each of them."""
    apology: str = "I'm sorry, something went wrong on my side. Could you say that again, please?"
    """Said when a reply failed before anything of it was heard."""
    drain_notice: str = "I'm sorry, I have to end this call now. Please call again in a few minutes."
    """Said when the engine shuts down before the call was over."""
    farewell: str = "I'm sorry, I'm having technical trouble and have to hang up. Please call again later."
    """Said before the call is given up, if the voice still works."""
    not_understood: str = "Sorry, I didn't catch that. Could you say it again?"
    """Said when the caller spoke and no words came of it."""
    digits: DigitSettings = DigitSettings()
    """When an entry that the caller keys in is over."""
    patience: PatienceSettings = PatienceSettings()
    """When a silent caller is asked for, and how long a call may last."""
    away_prompt: str = "Are you still there?"
    """Said to a caller who has been silent for long."""
    goodbye: str = "Thank you for calling. Goodbye."
    """Said before the call is ended because the caller is away, or because it has lasted as long as it may."""
    may_reach: tuple[str, ...] = attrs.field(default=(), converter=check_entries)
    """Whom its calls may transfer to and write to: numbers (``+15005550001``), beginnings of numbers (``+4930*``), SIP
    addresses (``sip:desk@pbx.example.com``, ``sip:*@pbx.example.com``). Nobody else, whatever a caller or a model
    says; the caller himself may always be written to."""
    hold_music: Clip | None = None
    """What a caller on hold hears, over and over; None: two soft notes every four seconds."""
    transfer_failed: str = "I'm sorry, nobody could take your call there. What else can I do for you?"
    """Said in place of the greeting to a caller who comes back because nobody answered where he was transferred to."""
    transfer_question: str = "Will you take the call? Please say yes, or press one."
    """Asked of somebody who was called for a caller, behind the briefing."""
    transfer_accepted: str = "Thank you. I'm putting you through."
    """Said to him when he takes the call."""
    caller_gone: str = "I'm sorry, the caller has hung up. Goodbye."
    """Said to him when there is nobody to put through any more."""
    time_warning: str = "We have to finish in a minute. Is there anything else?"
    """Said some time before the longest duration of a call."""

    def __attrs_post_init__(self) -> None:
        if self.flow is not None and self.llm:
            raise ConfigurationError("an agent has either a flow or an llm: name one of them, or neither")
        if self.flow is not None and self.tools:
            raise ConfigurationError("tools are a language model's: give a flow's intents their actions instead")
        if self.prewarm_greeting and not self.prewarm:
            raise ConfigurationError("prewarm_greeting needs prewarm: leave prewarm=False out")
        if not set(self.hedged) <= {"llm", "tts"}:
            raise ConfigurationError(f"hedged is {self.hedged!r}: name 'llm', 'tts', both or neither")
        if self.aec not in ("auto", "on", "off"):
            raise ConfigurationError(f"aec is {self.aec!r}: give 'auto', 'on' or 'off'")
