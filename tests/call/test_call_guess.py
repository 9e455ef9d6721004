"""Preemptive replies: begun before the turn is surely over, neither heard nor remembered if it was wrong."""

from __future__ import annotations

import attrs
import pytest
import trio
from lab_calls import decisions, until

from callengine import Agent
from callengine.ports import Message
from callengine.turns.settings import Endpointing, Preemption, TurnSettings

GREETING = "Hello there."
QUESTION = "Is there a table for two?"
"""Of which no beginning looks whole in the pause."""
ANSWER = "We have one at eight."
PATIENT = Endpointing(mode="fixed", min_delay=0.8, doubt_delay=0.8, max_delay=1.6)
"""The turn ends 0.8 s behind a whole sentence: time that a guess can save."""


def agent(enabled: bool = True, *, stable: float = 1.0, **settings) -> Agent:
    """One that guesses in pauses: the words of the lab's voice are slow, and none is unchanged for a second."""
    turns = TurnSettings(endpointing=PATIENT, preemption=Preemption(enabled=enabled, stable=stable, **settings))
    return Agent(prompt="Be brief.", greeting=GREETING, turns=turns, thinking=())


@pytest.fixture
async def call_lab(call_lab):
    """With a recogniser that tells what it has with every block of audio."""
    call_lab.stt.interim_every = 0.05
    return call_lab


def decided(lab, what: str) -> list[float]:
    return [record.t for record in lab.call.journal.of("decision") if record.data["what"] == what]


def asked(lab) -> list[Message]:
    return lab.llm.requests[-1][1:]


async def test_the_model_is_asked_in_the_pause_and_heard_after_the_final(call_lab):
    """Given a whole sentence, when the caller pauses and the recogniser has no more to say, then it is asked, and
    the answer is on the line in the very moment in which his turn is over."""
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent()) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await until(lambda: call_lab.llm.requests)
        asked_at = trio.current_time() - call_lab.call.started_at
        await caller.hears(ANSWER)
    journal = call_lab.call.journal
    (paused,) = journal.of("speech.paused")
    (ended,) = journal.of("turn.ended")
    (guessed,) = decided(call_lab, "guess")
    assert paused.t + 0.15 == pytest.approx(guessed) == pytest.approx(asked_at, abs=0.005)
    assert ended.t == pytest.approx(ended.data["speech_ended"] + 0.8, abs=1e-6)
    audible = journal.of("reply.audible")[1].t
    assert audible == pytest.approx(ended.t, abs=1e-6)
    sent = [r.t for r in journal.of("media.sent") if r.data["utterance"] == 2]
    assert min(sent) == audible
    assert ended.data["guessed"] is True
    assert call_lab.call.counters["guesses"] == 1
    assert call_lab.call.counters["guesses taken back"] == 0
    assert len(call_lab.llm.requests) == 1


async def test_a_right_guess_saves_what_model_and_voice_take(call_lab):
    """The same call with and without: the difference is the first token, the sentence and the first audio, exactly."""
    delays = {}
    for enabled in (False, True):
        call_lab.llm.replies(ANSWER)
        async with call_lab.dial(agent(enabled)) as caller:
            await caller.hears(GREETING)
            await caller.says(QUESTION)
            await caller.hears(ANSWER)
        journal = call_lab.call.journal
        ended = journal.of("turn.ended")[0]
        delays[enabled] = journal.of("reply.audible")[1].t - ended.t
        assert ended.t - ended.data["speech_ended"] == pytest.approx(0.8, abs=1e-6)
    words = len(ANSWER.split())
    takes = call_lab.llm.first_token + (words - 1) * call_lab.llm.token_gap + call_lab.tts.first_audio
    assert delays[False] == pytest.approx(takes, abs=1e-6)
    assert delays[True] == pytest.approx(0.0, abs=1e-6)


async def test_nothing_is_audible_before_the_turn_is_over_however_early_the_answer_is_there(call_lab):
    call_lab.llm.first_token = call_lab.llm.token_gap = call_lab.tts.first_audio = 0.0
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent()) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        ended_at = trio.current_time()
        await until(lambda: call_lab.tts.spoken[1:])
        assert trio.current_time() < ended_at + 0.4
        await caller.hears(ANSWER)
    journal = call_lab.call.journal
    assert journal.of("reply.audible")[1].t == pytest.approx(journal.of("turn.ended")[0].t, abs=1e-6)


async def test_a_caller_who_goes_on_makes_the_guess_void_without_trace(call_lab):
    """Given a guess with its audio ready, when the caller speaks on before his turn is over, then the stream is closed,
    and model, history, turns and line know of nothing but the whole sentence and its answer."""
    call_lab.llm.replies(["Never heard. ", 9.0, "Nor this."], ANSWER)
    async with call_lab.dial(agent()) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await caller.waits(0.6)
        assert "Never heard." in call_lab.tts.spoken
        assert call_lab.llm.streams == 1
        await caller.says("Outside would be nice.")
        assert call_lab.llm.streams <= 1
        await caller.hears(ANSWER)
        await caller.waits(3)
    whole = f"{QUESTION} Outside would be nice."
    assert asked(call_lab) == [Message("assistant", GREETING), Message("user", whole)]
    assert caller.heard == f"{GREETING} {ANSWER}"
    assert caller.leg.queue.cleared == []
    outcome = call_lab.call.outcome
    assert [turn.caller for turn in outcome.turns] == ["", whole]
    assert [turn.heard for turn in outcome.turns] == [GREETING, ANSWER]
    assert [r.data["continues"] for r in call_lab.call.journal.of("turn.ended")] == [False]
    assert call_lab.call.journal.of("barge_in") == []
    assert call_lab.call.counters["guesses"] == 2  # the whole sentence was guessed again
    assert call_lab.call.counters["guesses taken back"] == 1
    assert decisions(call_lab, "take back the guess") == ["the caller goes on"]
    assert call_lab.llm.cancelled == 1


class Rethinking:
    """Makes a recogniser understand something else in the end than it did in the pause."""

    def __init__(self, script, *, interim: str, final: str) -> None:
        self._understand = script.understand
        self._words = {False: interim, True: final}
        script.understand = self

    def __call__(self, audio: bytes, *, final: bool) -> str:
        return self._words[final] if self._understand(audio, final=final) else ""


async def test_a_changed_transcript_makes_the_guess_void(call_lab):
    """Given a guess, when the final words are others, then the model is asked again, with those alone."""
    call_lab.llm.replies("For two, yes.", ANSWER)
    async with call_lab.dial(agent()) as caller:
        await caller.hears(GREETING)
        Rethinking(call_lab.stt, interim="A table for two.", final="A table for ten.")
        await caller.says("A table for ten.")
        await caller.hears(ANSWER)
        await caller.waits(2)
    assert [request[-1] for request in call_lab.llm.requests] == [
        Message("user", "A table for two."),
        Message("user", "A table for ten."),
    ]
    assert asked(call_lab) == [Message("assistant", GREETING), Message("user", "A table for ten.")]
    assert decisions(call_lab, "take back the guess") == ["the caller's words are others"]
    assert caller.heard == f"{GREETING} {ANSWER}"
    assert [turn.caller for turn in call_lab.call.outcome.turns] == ["", "A table for ten."]
    assert call_lab.call.counters["guesses taken back"] == 1


async def test_a_final_with_other_punctuation_is_the_same(call_lab):
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent()) as caller:
        await caller.hears(GREETING)
        Rethinking(call_lab.stt, interim="a table for ten", final="A table, for ten.")
        await caller.says("A table for ten.")
        await caller.hears(ANSWER)
    assert len(call_lab.llm.requests) == 1
    assert call_lab.call.outcome.turns[1].caller == "A table, for ten."
    assert call_lab.call.journal.of("turn.ended")[0].data["guessed"] is True


async def test_a_slow_model_under_a_guess_is_asked_once(call_lab):
    """Given a model that is slower than the turn's end, when the final matches, then the same stream goes on."""
    call_lab.llm.first_token = 3.0
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent()) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await caller.hears(ANSWER)
        await caller.waits(2)
    assert len(call_lab.llm.requests) == 1
    assert call_lab.llm.cancelled == 0
    (guessed,) = decided(call_lab, "guess")
    words = len(ANSWER.split())
    takes = 3.0 + (words - 1) * call_lab.llm.token_gap + call_lab.tts.first_audio
    assert call_lab.call.journal.of("reply.audible")[1].t == pytest.approx(guessed + takes, abs=1e-6)
    assert caller.heard == f"{GREETING} {ANSWER}"


async def test_a_model_that_fails_under_a_guess_is_not_apologised_for_before_the_caller_is_done(call_lab):
    """Given a guess whose model fails, when the caller speaks on, then nobody apologises to him, and he is answered."""
    call_lab.llm.fails()
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent(tries=1)) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await caller.waits(0.6)
        await caller.says("Outside would be nice.")
        await caller.hears(ANSWER)
    assert caller.heard == f"{GREETING} {ANSWER}"
    assert asked(call_lab)[-1] == Message("user", f"{QUESTION} Outside would be nice.")


async def test_no_filler_is_said_over_a_guess(call_lab):
    """Given a slow model, when it was asked by a guess, then the wait for a filler is the caller's, not the guess's."""
    call_lab.llm.first_token = 3.0
    call_lab.llm.replies(ANSWER)
    program = attrs.evolve(agent(), thinking=("One moment.",), thinking_after=0.5)
    async with call_lab.dial(program) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await caller.hears("One moment.")
        await caller.hears(ANSWER)
    journal = call_lab.call.journal
    assert min(decided(call_lab, "fill")) >= journal.of("turn.ended")[0].t
    assert journal.of("reply.audible")[1].t >= journal.of("turn.ended")[0].t


@pytest.mark.parametrize(("tries", "guesses"), [(1, 1), (2, 2), (3, 3)])
async def test_how_often_it_guesses_in_one_turn_is_a_setting(call_lab, tries, guesses):
    call_lab.llm.replies(*["Never heard."] * (guesses - 1), *[ANSWER] * 2)
    async with call_lab.dial(agent(tries=tries)) as caller:
        await caller.hears(GREETING)
        for words in ("A table for two.", "It is for tonight.", "We come at eight."):
            await caller.says(words)
            await caller.waits(0.6)
        await caller.hears(ANSWER)
    assert call_lab.call.counters["guesses"] == guesses
    assert len(call_lab.call.journal.of("turn.ended")) == 1


async def test_no_guess_is_made_about_a_long_turn(call_lab):
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent(max_speech=1.0)) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await caller.hears(ANSWER)
    assert call_lab.call.counters["guesses"] == 0


@pytest.mark.parametrize("stable", [0.4, 0.8])
async def test_an_interim_that_does_not_change_is_guessed_after_so_long(call_lab, stable):
    """Given a caller whose line goes on sounding behind his words, then the words have to be stable."""
    call_lab.llm.replies(ANSWER)
    async with call_lab.dial(agent(stable=stable)) as caller:
        await caller.hears(GREETING)
        caller.leg.speak(b"".join(word.audio for word in call_lab.vocabulary.speak(QUESTION)))
        await until(caller.leg.speak(b"\x20\xa0" * 6000).is_set)
        await caller.hears(ANSWER)
    interim = next(r for r in call_lab.call.journal.of("transcript") if r.data["text"] == QUESTION)
    (guessed,) = decided(call_lab, "guess")
    assert guessed == pytest.approx(interim.t + stable, abs=1e-6)


async def test_without_it_nothing_is_guessed(call_lab):
    """It is off by default: a reply begun for nothing costs tokens."""
    call_lab.llm.replies(ANSWER)
    plain = attrs.evolve(agent(), turns=TurnSettings(endpointing=PATIENT))
    async with call_lab.dial(plain) as caller:
        await caller.hears(GREETING)
        await caller.says(QUESTION)
        await until(lambda: call_lab.llm.requests)
        asked_at = trio.current_time() - call_lab.call.started_at
        await caller.hears(ANSWER)
    assert call_lab.call.counters["guesses"] == 0
    assert call_lab.call.journal.of("turn.ended")[0].t == pytest.approx(asked_at, abs=0.006)
