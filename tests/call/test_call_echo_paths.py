"""The agent's own words coming back: through echo paths of several delays and levels, and through the recogniser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trio
from lab_calls import until

from callengine import Agent, Clip
from callengine.audio.convert import from_pcm, to_pcm
from callengine.audio.wav import read_wav
from callengine.testing.caller import recording
from callengine.testing.carrier import CarrierSettings
from callengine.turns.confirmation import MinWords
from callengine.turns.settings import Interruption, TurnSettings

CALLERS = Path(__file__).parents[1] / "data" / "callers"
SENTENCES = (CALLERS / "am_michael_14_long.wav", CALLERS / "bf_emma_07_hours.wav", CALLERS / "bm_george_11_price.wav")
ANSWER = CALLERS / "am_michael_05_cancel.wav"
ANSWER_TEXT = "I am afraid I have to cancel my table for tonight."
LONG = "We have tables at seven, at eight, and at nine, inside or in the garden, and the kitchen is open until ten."
FRAME = 0.02


def monologue() -> Clip:
    """What the agent says: three sentences of several voices, with pauses between them."""
    pause = np.zeros(4000, np.int16)
    pieces = [piece for path in SENTENCES for piece in (read_wav(path)[0], pause)]
    return Clip(np.concatenate(pieces[:-1]), 8000, "three long sentences")


def echo_path(caller, *, delay: float, level: float) -> None:
    """The caller's telephone gives the agent's voice back, ``delay`` seconds late and ``level`` dB quieter."""
    news = caller.leg.queue.listener()
    zero = trio.current_time() - 1.0
    played = np.zeros(8000 * 120, np.float32)

    def add_echo(at: float, frame: bytes) -> bytes:
        for stretch in news(at):
            start = round((stretch.start - zero) * 8000)
            played[start : start + len(stretch.audio)] = to_pcm(stretch.audio, "mulaw")
        begin = round((at - FRAME - delay - zero) * 8000)
        if begin < 0:
            return frame
        mixed = to_pcm(frame, "mulaw") + played[begin : begin + len(frame)] * np.float32(10 ** (level / 20))
        return from_pcm(np.clip(np.round(mixed), -32768, 32767).astype(np.int16), "mulaw")

    caller.leg.background = add_echo


def audio_of_finals(lab) -> list[bytes]:
    """The audio of every utterance that the recogniser is asked about from here on, in mu-law."""
    understand, audio_of = lab.stt.understand, []

    def listen(audio: bytes, *, final: bool) -> str:
        if final:
            audio_of.append(audio)
        return understand(audio, final=final)

    lab.stt.understand = listen
    return audio_of


def where(line: np.ndarray, voice: np.ndarray) -> int:
    """Where in ``line`` the ``voice`` is most likely to begin."""
    return int(np.argmax(np.correlate(line.astype(np.float64), voice.astype(np.float64), "valid")))


def loudness(pcm: np.ndarray) -> np.ndarray:
    """RMS of each frame."""
    frames = pcm[: len(pcm) // 160 * 160].reshape(-1, 160).astype(np.float64)
    return np.sqrt(np.mean(frames * frames, axis=1))


async def monologue_then_listen(call):
    call.result = await call.say(monologue())
    call.turn = await call.listen(timeout=3)


# --- the canceller --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [-10, -18, -30])
@pytest.mark.parametrize("delay", [0.1, 0.18, 0.25, 0.4])
async def test_the_agents_own_voice_neither_cuts_it_nor_is_a_turn(call_lab, delay, level):
    """Given a loudspeaker, when the agent talks for ten seconds, then it is not interrupted, and nobody has spoken."""
    async with call_lab.dial(monologue_then_listen, agent=Agent(aec="auto"), real={"vad", "aec"}) as caller:
        echo_path(caller, delay=delay, level=level)
        for _ in range(5):  # whatever the VAD lets through is words to the recogniser
            call_lab.stt.will_hear("Somebody said something here.")
        await caller.is_hung_up_on()
    call = call_lab.call
    assert call.result.complete
    assert call.turn is None
    assert call.journal.of("barge_in") == []
    assert call.journal.of("turn.ended") == []


@pytest.mark.parametrize("delay", [0.1, 0.4])
async def test_without_the_canceller_it_disturbs_itself(call_lab, delay):
    """The same line, to show that it is the canceller."""
    async with call_lab.dial(monologue_then_listen, agent=Agent(aec="off"), real={"vad", "aec"}) as caller:
        echo_path(caller, delay=delay, level=-10)
        await caller.waits(5)
    assert call_lab.call.journal.of("reply.paused")


async def test_an_echo_without_words_does_not_keep_the_agent_from_going_on(call_lab):
    """Given a line without a canceller, when every sound of the agent comes back, then what it says takes longer, but
    it gets to its end."""
    async with call_lab.dial(monologue_then_listen, agent=Agent(aec="off"), real={"vad", "aec"}) as caller:
        echo_path(caller, delay=0.18, level=-18)
        await caller.waits(3 * len(monologue().samples) / 8000)
    ended = call_lab.call.journal.of("reply.ended")[0]
    assert ended.data["complete"]


# --- behind the agent's last word -----------------------------------------------------------------------------------


@pytest.mark.parametrize("echo", [None, (0.18, -18), (0.25, -10)])
async def test_a_caller_who_answers_in_the_echo_tail_is_heard_whole(call_lab, echo):
    """Given an agent that has just finished, when the caller answers 400 ms after its last word, then that is a turn of
    its own, no interruption, and the recogniser gets it from its first sound."""
    heard = audio_of_finals(call_lab)
    async with call_lab.dial(monologue_then_listen, agent=Agent(aec="auto"), real={"vad", "aec"}) as caller:
        if echo is not None:
            echo_path(caller, delay=echo[0], level=echo[1])
        length = len(monologue().samples) / 8000
        await until(lambda: caller.leg.queue.playing(trio.current_time()))
        await trio.sleep_until(caller.leg.queue.began_at + length + 0.4)
        assert not caller.leg.queue.playing(trio.current_time())
        await caller.says(ANSWER, text=ANSWER_TEXT)
        await until(lambda: call_lab.call.ended)
    call = call_lab.call
    assert call.result.complete
    assert call.turn.text == ANSWER_TEXT
    assert not call.turn.continues
    assert call.journal.of("barge_in") == []
    assert call.journal.of("false_interruption") == []
    said = to_pcm(recording(ANSWER), "mulaw")
    said = said[: int(np.flatnonzero(np.abs(said) > 500)[-1])]  # without the silence behind it
    line = to_pcm(b"".join(heard), "mulaw")
    if echo is None:
        assert from_pcm(said, "mulaw") in b"".join(heard)
    else:  # the canceller filters what it lets through: the same sounds as loud, at the same times
        kept = loudness(line[where(line, said) :][: len(said)]) / np.maximum(loudness(said), 1.0)
        audible = loudness(said) > 300
        assert np.median(kept[audible]) > 0.7
        assert kept[audible][:10].min() > 0.5  # from his first sound


# --- the text guard -------------------------------------------------------------------------------------------------


def deaf_to_echo(interruption: Interruption) -> Agent:
    return Agent(prompt="x", greeting=LONG, aec="off", turns=TurnSettings(interruption=interruption))


@pytest.mark.parametrize(("words", "interim"), [(5, 0.2), (5, 0.5), (1, None)])
@pytest.mark.parametrize("delay", [0.1, 0.18, 0.4])
async def test_words_of_the_agent_that_the_recogniser_hears_are_not_the_callers(call_lab, delay, words, interim):
    """Given a line without a canceller on which the agent's words come back whole, when words interrupt it, then those
    do not: it says all of it, once, and nobody has spoken."""
    call_lab.stt.interim_every = interim
    agent = deaf_to_echo(Interruption(mode="cut", confirm=(MinWords(words),)))
    async with call_lab.dial(agent) as caller:
        echo_path(caller, delay=delay, level=0)
        await caller.hears("until ten.")
        await caller.waits(5)
    call = call_lab.call
    assert caller.heard == LONG
    assert call.journal.of("barge_in") == []
    assert call.journal.of("turn.ended") == []
    assert call_lab.llm.requests == []
    assert [turn.complete for turn in call.outcome.turns] == [True]
    assert call.counters["transcripts dropped: echo"] == 1


async def test_without_the_guard_they_are(call_lab):
    call_lab.stt.interim_every = 0.2
    call_lab.llm.replies(*["Pardon?"] * 9)
    agent = deaf_to_echo(Interruption(mode="cut", confirm=(MinWords(5),), echo_guard=False))
    async with call_lab.dial(agent) as caller:
        echo_path(caller, delay=0.18, level=0)
        await caller.waits(5)
    assert len(call_lab.call.journal.of("barge_in")) >= 1


async def test_by_default_a_reply_goes_on_although_its_echo_has_paused_it(call_lab):
    """Given the usual settings and no canceller, when the echo pauses the agent after a word or two, then it goes on,
    and is disturbed no more. (So few words cannot be told from a caller's: they may become a turn.)"""
    call_lab.stt.interim_every = 0.2
    call_lab.llm.replies(*["Pardon?"] * 9)
    async with call_lab.dial(deaf_to_echo(Interruption())) as caller:
        echo_path(caller, delay=0.18, level=0)
        await caller.waits(30)
    assert call_lab.call.journal.of("barge_in") == []
    pauses = [record.data["utterance"] for record in call_lab.call.journal.of("reply.paused")]
    assert pauses.count(1) == 2
    assert call_lab.call.outcome.turns[0].complete


async def test_a_caller_behind_the_echo_is_understood(call_lab):
    """Given such a line, when the caller asks something once the agent is silent, then that is a turn, and his words
    alone."""
    call_lab.stt.interim_every = 0.2
    call_lab.llm.replies("Yes, we do.")
    async with call_lab.dial(deaf_to_echo(Interruption(mode="cut", confirm=(MinWords(5),)))) as caller:
        echo_path(caller, delay=0.18, level=0)
        await caller.hears("until ten.", timeout=20)
        await caller.waits(1.0)
        await caller.says("And do you have parking?")
        await caller.hears("Yes, we do.")
    assert [turn.caller for turn in call_lab.call.outcome.turns[1:]] == ["And do you have parking?"]


# --- what is said over something that has to be heard ---------------------------------------------------------------

SPEECH = (
    "I have been trying to call you since this morning because the table that I booked for tonight is for six people "
    "now, and two of them cannot climb stairs, so we would need to sit somewhere else."
)


async def notice(call):
    call.result = await call.say(Clip(np.full(8000 * 18, 3000, np.int16), 8000), interruptible=False)
    call.turns = [await call.listen(timeout=1)]


async def test_ten_seconds_over_an_uninterruptible_reply_are_a_turn_to_the_word(call_lab):
    async with call_lab.dial(notice) as caller:
        await caller.waits(3)
        began = trio.current_time()
        await caller.says(SPEECH)
        assert trio.current_time() - began > 10
        await until(lambda: call_lab.call.ended)
    assert call_lab.call.result.complete
    assert call_lab.call.turns[0].text == SPEECH
    assert call_lab.call.journal.of("barge_in") == []


async def test_ten_seconds_of_a_voice_over_an_uninterruptible_reply_reach_the_recogniser_whole(call_lab):
    """Every frame in which he can be heard, as he was: the real VAD, the canceller, and a line without an echo."""
    said = b"".join(recording(CALLERS / f"af_nova_{name}.wav") for name in ("14_long", "15_long", "13_person"))
    assert len(said) > 8000 * 10
    heard = audio_of_finals(call_lab)
    for _ in range(10):
        call_lab.stt.will_hear("Some of it.")
    async with call_lab.dial(notice, agent=Agent(aec="auto"), real={"vad", "aec"}) as caller:
        await caller.waits(3)  # by then it is known that there is no echo
        await until(caller.leg.speak(said).is_set)
        await until(lambda: call_lab.call.ended)
    line = b"".join(heard)
    frames = [said[start : start + 160] for start in range(0, len(said) - 160, 160)]
    audible = [frame for frame in frames if np.abs(to_pcm(frame, "mulaw")).max() > 500]
    assert len(audible) > 400
    assert [index for index, frame in enumerate(audible) if frame not in line] == []


@pytest.mark.parametrize(("aec", "ends"), [("auto", "caller"), ("on", "failed")])
async def test_a_line_at_a_rate_that_the_canceller_cannot_do_is_not_lost(call_lab, aec, ends):
    """Given a channel at 48 kHz, the call goes on without cancellation, unless the agent insists on it."""
    agent = Agent(prompt="x", greeting="Hello there.", aec=aec, stt=call_lab.stt, llm=call_lab.llm, tts=call_lab.tts)
    line = CarrierSettings(kind="audiosocket", options={"rate": 48000})
    async with call_lab.dial(agent, real={"aec"}, carrier=line) as caller:
        await caller.waits(3)
    outcome = call_lab.call.outcome
    assert outcome.ended_by == ends
    said = [r.data["what"] for r in call_lab.call.journal.of("decision")]
    assert ("go on without echo cancellation" in said) == (aec == "auto")
    assert [turn.complete for turn in outcome.turns] == [True] * (aec == "auto")
