"""What is made ready for a call before it is there: sessions that wait for it, and its greeting."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from callengine.audio.format import AudioFormat
from callengine.call.prewarm import MAX_GREETINGS, Prewarming
from callengine.cleanup import bounded_cleanup
from callengine.errors import ProviderError
from callengine.ports import SessionContext, Usage
from callengine.testing.scripted import ScriptedLlm, ScriptedStt, ScriptedTts
from callengine.testing.words import Vocabulary, read_words

CALL = SessionContext("CA1")
RINGING = SessionContext("a reference")
HELLO = "Hello, this is Chez Trio."
TWO = "Hello, this is Chez Trio. How can I help you today?"


class Providers:
    """Scripted ones that may be parked for a minute, with a cold start of 0.7 s."""

    def __init__(self) -> None:
        self.vocabulary = vocabulary = Vocabulary()
        self.stt, self.tts, self.llm = ScriptedStt(vocabulary), ScriptedTts(vocabulary), ScriptedLlm()
        for provider in (self.stt, self.tts, self.llm):
            provider.idle_limit, provider.open_delay = 60.0, 0.7
        self.prewarming = Prewarming()

    def ringing(self, greeting="", **changes):
        recipes = {"stt": self.stt, "tts": self.tts, "llm": self.llm}
        return self.prewarming.prewarmed(recipes, attrs.evolve(RINGING, **changes), greeting)

    def words(self, chunks):
        """What these chunks say."""
        return read_words(self.vocabulary, b"".join(chunk.audio for chunk in chunks))

    @property
    def left(self):
        return self.stt.sessions, self.tts.sessions, self.llm.sessions, self.tts.streams


@pytest.fixture
def providers() -> Providers:
    return Providers()


async def said(session, text):
    """The chunks of a sentence, and how long the first one took."""
    begun, first, chunks = trio.current_time(), math.inf, []
    async with session.synthesise(text) as speech:
        async for chunk in speech:
            first = min(first, trio.current_time() - begun)
            chunks.append(chunk)
    return chunks, first


# --- sessions -----------------------------------------------------------------------------------------------------


async def test_a_session_that_waits_is_taken_over_at_once_and_closed_with_the_call(autojump_clock, providers):
    async with providers.ringing() as prewarm:
        await trio.sleep(5)
        assert providers.left == (1, 1, 1, 0)
        for role in ("stt", "tts", "llm"):
            begun = trio.current_time()
            async with prewarm.opened(role, getattr(providers, role), CALL):
                assert trio.current_time() == begun
            assert trio.current_time() == begun
        assert providers.left == (0, 0, 0, 0)
    assert [providers.stt.opened, providers.tts.opened, providers.llm.opened] == [1, 1, 1]


async def test_what_may_cost_something_is_never_opened_early(autojump_clock, providers):
    providers.stt.idle_limit = 0.0
    async with providers.ringing() as prewarm:
        await trio.sleep(5)
        assert (providers.stt.opened, providers.tts.opened) == (0, 1)
        async with prewarm.opened("stt", providers.stt, CALL):
            assert trio.current_time() == 5.7


async def test_a_session_waits_no_longer_than_its_recipe_allows(autojump_clock, providers):
    providers.stt.idle_limit = 10.0
    async with providers.ringing() as prewarm:
        await trio.sleep(10.69)
        assert providers.stt.sessions == 1
        await trio.sleep(0.02)
        assert providers.stt.sessions == 0
        async with prewarm.opened("stt", providers.stt, CALL):
            assert trio.current_time() == pytest.approx(11.41)
    assert providers.stt.opened == 2


@pytest.mark.parametrize(("answered", "there"), [(0.0, 0.7), (0.3, 0.7), (0.7, 0.7), (10.7, 10.7)])
async def test_answered_while_it_opens_or_just_as_it_opens_or_is_given_up(autojump_clock, providers, answered, there):
    providers.stt.idle_limit = 10.0
    async with providers.ringing() as prewarm:
        await trio.sleep(answered)
        async with prewarm.opened("stt", providers.stt, CALL):
            assert trio.current_time() in (pytest.approx(there), pytest.approx(there + 0.7))
            assert providers.stt.sessions == 1
    assert providers.left == (0, 0, 0, 0)


async def test_another_session_of_the_same_recipe_is_a_fresh_one(autojump_clock, providers):
    """A45."""
    async with providers.ringing() as first, providers.ringing() as second:
        await trio.sleep(1)
        async with (
            first.opened("stt", providers.stt, CALL) as one,
            first.opened("stt", providers.stt, CALL) as again,
            second.opened("stt", providers.stt, CALL) as other,
        ):
            assert len({id(one), id(again), id(other)}) == 3
            assert trio.current_time() == 1.7


async def test_two_calls_after_each_other_both_have_a_voice(autojump_clock, providers):
    """A45."""
    for _ in range(2):
        async with providers.ringing(HELLO) as prewarm:
            await trio.sleep(5)
            async with prewarm.opened("tts", providers.tts, CALL) as voice:
                assert (await said(voice, HELLO))[1] == 0.0
                assert (await said(voice, "What a day."))[1] == pytest.approx(0.1)
    assert providers.left == (0, 0, 0, 0)


async def test_a_connection_that_was_lost_while_it_waited_is_replaced(autojump_clock, providers):
    """A44."""
    async with providers.ringing() as prewarm:
        await trio.sleep(2)
        providers.stt.dies()
        await trio.sleep(0.01)
        assert providers.stt.sessions == 0
        async with prewarm.opened("stt", providers.stt, CALL) as stt:
            await stt.start_utterance(1)
    assert providers.stt.opened == 2


async def test_a_connection_that_is_lost_as_the_call_takes_it_is_replaced(autojump_clock, providers):
    """A44."""
    async with providers.ringing() as prewarm:
        await trio.sleep(2)
        providers.stt.dies()
        async with prewarm.opened("stt", providers.stt, CALL):
            assert providers.stt.opened in (1, 2)  # whichever is seen first: the call takes another one if need be
    assert providers.left == (0, 0, 0, 0)


class Dropping:
    """A provider whose connection is read by a task of its own, and breaks when told."""

    name = "dropping"
    idle_limit = math.inf

    def __init__(self) -> None:
        self.breaks = trio.Event()
        self.fault: BaseException = ProviderError("dropping", "the connection was lost")
        self.sessions = 0

    @asynccontextmanager
    async def open(self, context):
        del context
        self.sessions += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read)
                yield self
                nursery.cancel_scope.cancel()
        finally:
            self.sessions -= 1

    async def _read(self):
        await self.breaks.wait()
        raise self.fault


async def test_a_session_that_will_not_close_holds_up_its_call_for_a_moment_only(autojump_clock, providers):
    class Slow(Dropping):
        @asynccontextmanager
        async def open(self, context):
            async with super().open(context) as session:
                yield session
            with bounded_cleanup(5):
                await trio.sleep_forever()

    providers.llm = Slow()
    async with providers.ringing() as prewarm:
        await trio.sleep(1)
        async with prewarm.opened("llm", providers.llm, CALL):
            pass
        assert trio.current_time() == 1.25


async def test_what_breaks_a_session_in_the_call_comes_out_where_the_call_holds_it(autojump_clock, providers):
    providers.llm = Dropping()
    async with providers.ringing() as prewarm:
        await trio.sleep(1)

        async def use():
            async with prewarm.opened("llm", providers.llm, CALL):
                providers.llm.breaks.set()
                await trio.sleep_forever()

        with pytest.raises(ProviderError, match="the connection was lost"):
            await use()
        assert providers.llm.sessions == 0


async def test_a_bug_in_a_provider_that_waits_harms_nobody(autojump_clock, providers, caplog):
    providers.llm = Dropping()
    providers.llm.fault = ZeroDivisionError("a bug")
    async with providers.ringing() as prewarm:
        await trio.sleep(1)
        providers.llm.breaks.set()
        await trio.sleep(1)
        providers.llm.breaks = trio.Event()
        async with prewarm.opened("llm", providers.llm, CALL):
            assert providers.llm.sessions == 1
    assert "dropping failed while it waited for a call" in caplog.text


async def test_one_that_could_not_be_opened_is_tried_again_by_the_call(autojump_clock, providers):
    providers.stt.refuses(1)
    async with providers.ringing() as prewarm:
        await trio.sleep(2)
        async with prewarm.opened("stt", providers.stt, CALL):
            assert trio.current_time() == 2.7


async def test_the_call_hears_of_a_refusal_that_it_waits_for(autojump_clock, providers):
    providers.stt.refuses(1)
    async with providers.ringing() as prewarm:
        await trio.sleep(0.3)
        with pytest.raises(ProviderError, match="refused"):
            async with prewarm.opened("stt", providers.stt, CALL):
                raise AssertionError("it was opened")
        assert trio.current_time() == 0.7


@pytest.mark.parametrize(
    "change",
    [{"sample_rate": 16000}, {"line": AudioFormat("l16", 16000)}, {"language": "de"}, {"interim": True}],
)
async def test_a_session_that_does_not_fit_the_call_is_closed_and_not_used(autojump_clock, providers, change):
    async with providers.ringing(HELLO) as prewarm:
        await trio.sleep(5)
        async with prewarm.opened("tts", providers.tts, attrs.evolve(CALL, **change)) as voice:
            assert trio.current_time() == 5.7
            assert providers.tts.sessions == 1
            assert (await said(voice, HELLO))[1] == pytest.approx(0.1)
        assert prewarm.wasted_characters == len(HELLO)


async def test_another_provider_than_the_expected_one_is_opened_fresh(autojump_clock, providers):
    other = ScriptedStt(Vocabulary())
    async with providers.ringing() as prewarm:
        await trio.sleep(5)
        async with prewarm.opened("stt", other, CALL):
            assert (other.opened, providers.stt.sessions) == (1, 1)
    assert providers.stt.sessions == 0


class Connecting(ScriptedLlm):
    """One whose session can connect ahead of its first request."""

    def __init__(self, error=None):
        super().__init__()
        self.error = error
        self.connected = 0

    @asynccontextmanager
    async def open(self, context):
        async with super().open(context):
            yield self

    async def prewarm(self):
        await trio.sleep(0.2)
        self.connected += 1
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [None, ProviderError("scripted llm", "the server is away")])
async def test_sessions_that_can_connect_ahead_do_so(autojump_clock, providers, error):
    providers.llm = Connecting(error)
    providers.llm.idle_limit = math.inf
    async with providers.ringing() as prewarm:
        await trio.sleep(1)
        assert providers.llm.connected == 1
        async with prewarm.opened("llm", providers.llm, CALL):
            assert providers.llm.opened == 1  # a failed attempt is no failure of the call


async def test_the_call_s_meter_hears_what_was_spent_before_it(autojump_clock, providers):
    costs = []
    usage = Usage(provider="scripted", model="m", characters=25)

    class Metered(ScriptedTts):
        @asynccontextmanager
        async def open(self, context):
            context.meter(usage)
            async with super().open(context) as session:
                yield session

    providers.tts = Metered(Vocabulary())
    providers.tts.idle_limit = 60.0
    async with providers.ringing() as prewarm:
        await trio.sleep(1)
        assert prewarm.unclaimed == (usage,)
        async with prewarm.opened("tts", providers.tts, attrs.evolve(CALL, meter=costs.append)):
            assert costs == [usage]
        assert prewarm.unclaimed == ()


@pytest.mark.parametrize("at", [0.0, 0.3, 0.7, 0.75, 0.9, 1.3, 5.0])
async def test_leaving_a_call_that_was_not_answered_leaves_nothing(autojump_clock, providers, at):
    """A41, R43: whenever it ends."""
    async with providers.ringing(TWO):
        await trio.sleep(at)
    assert providers.left == (0, 0, 0, 0)
    assert trio.current_time() == at
    assert providers.prewarming.greetings == 0
    assert providers.prewarming.wasted_characters == sum(len(text) for text in providers.tts.spoken)


@pytest.mark.parametrize("answered", [0.0, 0.3, 0.7, 0.75, 0.9, 5.0])
@pytest.mark.parametrize("after", [0.0, 0.1, 0.7, 1.0])
async def test_a_call_that_is_cancelled_leaves_nothing(autojump_clock, providers, answered, after):
    """R45."""
    async with providers.ringing(TWO) as prewarm:
        await trio.sleep(answered)
        with trio.move_on_after(after):
            async with prewarm.opened("tts", providers.tts, CALL) as voice:
                await said(voice, HELLO)
                await trio.sleep_forever()
        assert providers.left[1] == 0
        assert providers.left[3] == 0
        await prewarm.close()
        assert providers.left == (0, 0, 0, 0)


async def test_a_call_that_ends_early_is_closed_while_its_parks_still_open(autojump_clock, providers):
    async with providers.ringing(HELLO) as prewarm:
        await trio.sleep(0.3)
        await prewarm.close()
        assert trio.current_time() == 0.3
        await trio.sleep(5)
        assert providers.tts.opened == 0


# --- the greeting -------------------------------------------------------------------------------------------------


async def test_the_greeting_that_is_on_record_is_said_at_once_word_for_word(autojump_clock, providers):
    providers.tts.word_times = True
    async with providers.ringing(TWO) as prewarm:
        await trio.sleep(5)
        async with prewarm.opened("tts", providers.tts, CALL) as voice:
            assert voice.audio_format == providers.tts.audio_format
            for sentence in (HELLO, "How can I help you today?"):
                chunks, first = await said(voice, sentence)
                assert first == 0.0
                assert providers.words(chunks) == sentence
                assert [word.word for word in chunks[0].words] == sentence.split()
        assert prewarm.wasted_characters == 0


async def test_a_greeting_that_is_still_growing_is_said_as_it_comes(autojump_clock, providers):
    async with providers.ringing(HELLO) as prewarm:
        await trio.sleep(0.85)  # the first audio came at 0.8
        async with prewarm.opened("tts", providers.tts, CALL) as voice:
            chunks, first = await said(voice, HELLO)
    assert first == 0.0
    assert providers.tts.spoken == [HELLO]
    assert providers.words(chunks) == HELLO


@pytest.mark.parametrize("answered", [0.7, 0.75, 0.8])
async def test_a_sentence_that_is_about_to_be_heard_is_not_paid_for_twice(autojump_clock, providers, answered):
    """R44: nothing is left over of a synthesis that the answer overtook."""
    async with providers.ringing(HELLO) as prewarm:
        await trio.sleep(answered)
        async with prewarm.opened("tts", providers.tts, CALL) as voice:
            chunks, _ = await said(voice, HELLO)
    assert providers.words(chunks) == HELLO
    assert providers.tts.spoken == [HELLO]
    assert prewarm.wasted_characters == 0


async def test_answered_before_the_greeting_has_any_audio_it_is_spoken_anew(autojump_clock, providers, caplog):
    """A42: what comes late is dropped, and counted."""
    providers.tts.first_audio = 3.0
    async with providers.ringing(HELLO) as prewarm:
        await trio.sleep(1)
        providers.tts.first_audio = 0.1
        async with prewarm.opened("tts", providers.tts, CALL) as voice:
            chunks, first = await said(voice, HELLO)
            assert providers.tts.streams == 0
    assert first == pytest.approx(0.4)
    assert providers.words(chunks) == HELLO
    assert providers.prewarming.wasted_characters == len(HELLO)
    assert "25 characters had no audio in time" in caplog.text


async def test_sentences_that_were_not_begun_are_left_to_the_call(autojump_clock, providers):
    async with providers.ringing(TWO) as prewarm:
        await trio.sleep(0.85)
        async with prewarm.opened("tts", providers.tts, CALL) as voice:
            await said(voice, HELLO)
            _, first = await said(voice, "How can I help you today?")
    assert first == pytest.approx(0.1)
    assert providers.tts.spoken == [HELLO, "How can I help you today?"]
    assert prewarm.wasted_characters == 0


async def test_a_greeting_that_is_cut_while_it_grows_is_not_synthesised_further(autojump_clock, providers):
    async with providers.ringing(HELLO) as prewarm:
        await trio.sleep(0.85)
        async with prewarm.opened("tts", providers.tts, CALL) as voice:
            async with voice.synthesise(HELLO) as speech:
                await anext(speech.__aiter__())
            assert providers.tts.streams == 0
            assert (await said(voice, "Pardon me?"))[1] == pytest.approx(0.1)


@pytest.mark.parametrize("trouble", ["fails", "breaks", "silent"])
async def test_a_greeting_whose_synthesis_failed_is_spoken_by_the_call(autojump_clock, providers, trouble):
    getattr(providers.tts, trouble)()
    async with providers.ringing(HELLO) as prewarm:
        await trio.sleep(5)
        async with prewarm.opened("tts", providers.tts, CALL) as voice:
            chunks, _ = await said(voice, HELLO)
    assert providers.words(chunks) == HELLO
    assert prewarm.wasted_characters == len(HELLO)


async def test_one_that_breaks_while_the_call_says_it_fails_as_it_would_live(autojump_clock, providers):
    providers.tts.breaks()
    async with providers.ringing(HELLO) as prewarm:
        await trio.sleep(0.82)
        async with prewarm.opened("tts", providers.tts, CALL) as voice:
            with pytest.raises(ProviderError, match="the connection was lost"):
                await said(voice, HELLO)


async def test_a_voice_that_may_not_wait_still_records_the_greeting_and_connects_behind_it(autojump_clock, providers):
    providers.tts.idle_limit = 0.0
    async with providers.ringing(HELLO) as prewarm:
        await trio.sleep(5)
        assert providers.tts.sessions == 0  # recorded, and closed again
        async with prewarm.opened("tts", providers.tts, CALL) as voice:
            assert trio.current_time() == 5.0
            assert (await said(voice, HELLO))[1] == 0.0
            assert (await said(voice, "Pardon me?"))[1] == pytest.approx(0.8)
        assert providers.tts.sessions == 0
    assert providers.tts.spoken == [HELLO, "Pardon me?"]


async def test_a_voice_that_cannot_connect_behind_the_greeting_fails_as_it_would_without(autojump_clock, providers):
    providers.tts.idle_limit = 0.0
    async with providers.ringing(HELLO) as prewarm:
        await trio.sleep(5)
        providers.tts.refuses()

        async def speak():
            async with prewarm.opened("tts", providers.tts, CALL) as voice:
                await said(voice, HELLO)
                await said(voice, "Pardon me?")

        with pytest.raises(ProviderError, match="refused"):
            await speak()
        assert trio.current_time() == 5.7


async def test_there_are_only_so_many_greetings_at_a_time(autojump_clock, providers, caplog):
    """A43, R47: the next one is refused, and its call speaks itself."""
    async with trio.open_nursery() as nursery, trio.open_nursery() as rings:

        async def ring():
            async with providers.ringing(HELLO):
                await trio.sleep_forever()

        for _ in range(MAX_GREETINGS):
            rings.start_soon(ring)
        await trio.sleep(5)
        assert (MAX_GREETINGS, providers.prewarming.greetings, providers.prewarming.refused) == (200, 200, 0)
        async with providers.ringing(HELLO) as prewarm:
            await trio.sleep(5)
            assert providers.prewarming.refused == 1
            async with prewarm.opened("tts", providers.tts, CALL) as voice:
                assert (await said(voice, HELLO))[1] == pytest.approx(0.1)
        rings.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
    assert "200 are already" in caplog.text
    assert (providers.prewarming.greetings, providers.left) == (0, (0, 0, 0, 0))
    assert providers.prewarming.wasted_characters == 200 * len(HELLO)


async def test_a_call_that_is_there_makes_room_for_another_greeting(autojump_clock, providers):
    providers.prewarming.max_greetings = 1
    async with providers.ringing(HELLO) as prewarm, prewarm.opened("stt", providers.stt, CALL):
        async with providers.ringing(HELLO):
            assert providers.prewarming.refused == 0
            assert providers.prewarming.greetings == 1
