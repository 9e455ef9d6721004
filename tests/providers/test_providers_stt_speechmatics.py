"""Speechmatics' recogniser against the simulated service."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trio
from cases import Told
from talking import final, said, say

from callengine.audio.format import TELEPHONE
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import SttResult
from callengine.providers.stt.dialect import Finished, Whole
from callengine.providers.stt.speechmatics import Speechmatics
from callengine.providers.stt.speechmatics_wire import UNANSWERED, SpeechmaticsDialect, SpeechmaticsFailures
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.speechmatics import FakeSpeechmatics
from callengine.wire import open_socket


def recipe(vendor: FakeSpeechmatics, *args: str, **options) -> Speechmatics:
    return Speechmatics(*args, api_key=vendor.key, **options)


async def test_an_utterance_becomes_interims_and_one_final(autojump_clock):
    # given
    vendor = FakeSpeechmatics()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when
        await say(session, 7, said(vendor, "Yes, I need a refund please."))
        results = [await session.receive()]
        while not results[-1].final:
            results.append(await session.receive())
    # then the punctuation, which comes by itself, stands where it belongs
    assert results[-1] == SttResult("Yes, I need a refund please.", True, 7)
    assert results[0].text == "Yes"
    assert vendor.heard == ["Yes, I need a refund please."]
    assert vendor.configurations[0]["transcription_config"]["enable_partials"] is True


async def test_nobody_wants_interims(autojump_clock):
    vendor = FakeSpeechmatics()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire, interim=False)) as session:
        await say(session, 1, said(vendor, "hello"))
        assert (await final(session)).text == "hello"
    assert vendor.configurations[0]["transcription_config"]["enable_partials"] is False


async def test_the_end_of_an_utterance_is_forced_at_once(autojump_clock):
    # given
    vendor = FakeSpeechmatics()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        audio = said(vendor, "yes")
        await say(session, 1, audio)
        # when
        before = trio.current_time()
        assert (await final(session)).text == "yes"
        # then
        assert trio.current_time() == before
    assert vendor.forced == [len(audio) / 8000]


async def test_utterances_that_follow_each_other_are_kept_apart(autojump_clock):
    # given
    vendor = FakeSpeechmatics()
    vendor.forced_delay = 0.4
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when all is said before anything is heard
        texts = ["hello there", "I need a refund", "bye"]
        for number, text in enumerate(texts):
            await say(session, number, said(vendor, text))
        # then
        assert [await final(session) for _ in texts] == [SttResult(text, True, n) for n, text in enumerate(texts)]


async def test_silence_gets_an_empty_final_although_its_end_is_never_said(autojump_clock):
    # given
    vendor = FakeSpeechmatics()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        await say(session, 3, np.zeros(4000, np.int16))
        # when
        begun = trio.current_time()
        result = await final(session)
        took = trio.current_time() - begun
        # then
        assert (result, took) == (SttResult("", True, 3), UNANSWERED)
        # and the next one is not out of step
        await say(session, 4, said(vendor, "yes"))
        begun = trio.current_time()
        assert await final(session) == SttResult("yes", True, 4)
        assert trio.current_time() == begun


async def test_words_that_come_after_their_final_are_no_part_of_the_next(autojump_clock):
    # given a vendor that thinks for longer than the call waits
    vendor = FakeSpeechmatics()
    vendor.forced_delay = UNANSWERED + 1
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire, interim=False)) as session:
        await say(session, 1, said(vendor, "too late"))
        assert await final(session) == SttResult("", True, 1)
        vendor.forced_delay = 0.0
        # when
        await say(session, 2, said(vendor, "in time"))
        # then
        assert await final(session) == SttResult("in time", True, 2)


async def test_it_judges_a_turn_where_it_is_asked_to(autojump_clock):
    # given
    vendor = FakeSpeechmatics()
    ours = recipe(vendor, end_of_utterance=0.6)
    async with in_memory(vendor) as wire, ours.open(Told().context(wire)) as session:
        assert session.hears_pauses
        # when
        quiet = np.zeros(8000, np.int16)
        await say(session, 1, np.concatenate((said(vendor, "I need a refund"), quiet)), end=False)
        # then
        assert await final(session) == SttResult("I need a refund", True, 1, "end")
        # and the end of the next can still be asked for
        await say(session, 2, said(vendor, "thanks"))
        assert await final(session) == SttResult("thanks", True, 2)


async def test_what_it_opens_with_and_the_hook(autojump_clock):
    # given
    vendor = FakeSpeechmatics()

    def change(settings):
        settings["transcription_config"]["domain"] = "finance"

    async with in_memory(vendor) as wire:
        told = Told(change=change)
        ours = recipe(
            vendor,
            vocabulary={"Acme": ("ack me",), "Wexford": ()},
            end_of_utterance=0.5,
            extra={"transcription_config": {"enable_entities": True}},
        )
        # when
        async with ours.open(told.context(wire, language="en-gb", interim=False)):
            pass
    # then
    handshake = vendor.requests[0]
    assert (handshake.host, handshake.path) == ("eu.rt.speechmatics.com", "/v2/")
    assert handshake.headers["authorization"] == f"Bearer {vendor.key}"
    assert vendor.configurations == [
        {
            "message": "StartRecognition",
            "audio_format": {"type": "raw", "encoding": "mulaw", "sample_rate": 8000},
            "transcription_config": {
                "language": "en",
                "model": "enhanced",
                "enable_partials": False,
                "max_delay": 1.0,
                "output_locale": "en-GB",
                "conversation_config": {"end_of_utterance_silence_trigger": 0.5},
                "additional_vocab": [{"content": "Acme", "sounds_like": ["ack me"]}, {"content": "Wexford"}],
                "enable_entities": True,
                "domain": "finance",
            },
        }
    ]
    [opening] = told.openings
    assert (opening.role, opening.provider) == ("stt", "speechmatics")
    assert opening.url == "wss://eu.rt.speechmatics.com/v2/"
    assert vendor.key not in str(opening)


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"model": "standard"}, "model", "standard"),
        ({"language": "de-AT"}, "language", "de"),
        ({"language": "zh-CN"}, "language", "cmn"),
        ({"language": "nb"}, "language", "no"),
        ({"max_delay": 2.0}, "max_delay", 2.0),
    ],
)
async def test_settings_reach_the_vendor(autojump_clock, options, name, value):
    vendor = FakeSpeechmatics()
    async with in_memory(vendor) as wire, recipe(vendor, **options).open(Told().context(wire)):
        pass
    assert vendor.configurations[0]["transcription_config"][name] == value


async def test_audio_at_another_rate_is_linear(autojump_clock):
    vendor = FakeSpeechmatics()
    vendor.recorded.append("wideband")
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire, sample_rate=16000)) as session:
        await say(session, 1, np.ones(16000, np.int16))
        assert (await final(session)).text == "wideband"
    assert vendor.configurations[0]["audio_format"] == {"type": "raw", "encoding": "pcm_s16le", "sample_rate": 16000}


async def test_an_idle_session_is_kept_by_pings(autojump_clock):
    # given a vendor that closes after 180 s without audio or a ping
    vendor = FakeSpeechmatics()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        # when
        await trio.sleep(600)
        await say(session, 1, said(vendor, "still here"))
        # then
        assert (await final(session)).text == "still here"


@pytest.mark.parametrize(
    ("kind", "fault", "pause"),
    [
        ("protocol_error", "fatal", None),
        ("not_authorised", "fatal", None),
        ("not_allowed", "fatal", None),
        ("invalid_model", "fatal", None),
        ("timelimit_exceeded", "fatal", None),
        ("invalid_config", "fatal", None),
        ("idle_timeout", "reopen", None),
        ("session_timeout", "reopen", None),
        ("quota_exceeded", "retry", 5.0),
        ("internal_error", "retry", 5.0),
        ("job_error", "retry", 5.0),
        ("unknown_error", "retry", None),
    ],
)
async def test_errors_say_what_helps(autojump_clock, kind, fault, pause):
    vendor = FakeSpeechmatics()
    async with in_memory(vendor) as wire, recipe(vendor).open(Told().context(wire)) as session:
        await say(session, 1, said(vendor, "hello"), end=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(vendor.fail, vendor.sockets[0], kind, f"no {vendor.key}")
            with pytest.raises(ProviderError, match=rf"speechmatics enhanced: {kind}: no \[key\]") as error:
                await final(session)
    assert (error.value.fault, error.value.retry_after) == (fault, pause)


async def test_a_quota_that_is_used_up_right_after_the_handshake(autojump_clock):
    # given
    class Full(FakeSpeechmatics):
        async def serve(self, socket, request):  # noqa: ARG002 - the base has it
            await self.fail(socket, "quota_exceeded", "Concurrent Quota Exceeded")

    vendor = Full()
    async with in_memory(vendor) as wire:
        # when
        with pytest.raises(ProviderError, match="Concurrent Quota Exceeded") as error:
            async with recipe(vendor).open(Told().context(wire)):
                pass
    # then
    assert (error.value.fault, error.value.retry_after) == ("retry", 5.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_delay": 0.6}, "takes 0.7 to 4"),
        ({"max_delay": 4.1}, "takes 0.7 to 4"),
        ({"end_of_utterance": 1.0}, "less than max_delay=1.0"),
        ({"end_of_utterance": -0.1}, "less than max_delay=1.0"),
        ({"end_of_utterance": 2.0, "max_delay": 3.0}, "than 2 s"),
    ],
)
def test_settings_that_cannot_work(options, message):
    with pytest.raises(ConfigurationError, match=message):
        Speechmatics(api_key="k", **options)


async def test_the_probe_asks_for_a_key_of_one_minute(autojump_clock):
    vendor = FakeSpeechmatics()
    async with in_memory(vendor) as wire:
        await recipe(vendor).probe(wire)
    assert (vendor.requests[0].host, vendor.requests[0].json) == ("mp.speechmatics.com", {"ttl": 60})


async def test_connect_bounds_the_readiness_too(autojump_clock):
    vendor = FakeSpeechmatics()
    vendor.faults.mute = True
    async with in_memory(vendor) as wire:
        with pytest.raises(ProviderError, match=r"not ready within 1\.5 s"):
            async with recipe(vendor, connect=1.5).open(Told().context(wire)):
                pass


async def test_the_simulated_vendor_ends_as_it_is_asked_to(autojump_clock):
    # given a client of its own, in place of ours
    vendor = FakeSpeechmatics()
    failures = SpeechmaticsFailures("speechmatics", vendor.key)
    headers = {"Authorization": f"Bearer {vendor.key}"}
    start = {"message": "StartRecognition", **recipe(vendor).settings("en", TELEPHONE, interim=False)}
    async with in_memory(vendor) as wire:
        async with open_socket(wire, "wss://eu.rt.speechmatics.com/v2/", failures, headers=headers) as socket:
            await socket.send_json(start)
            await socket.send(b"".join(word.audio for word in vendor.vocabulary.speak("good bye")))
            # when
            await socket.send_json({"message": "EndOfStream", "last_seq_no": 1})
            # then its last words come before the end
            messages = [await socket.receive_json()]
            while messages[-1]["message"] != "EndOfTranscript":
                messages.append(await socket.receive_json())
    finals = [each["metadata"]["transcript"] for each in messages if each["message"] == "AddTranscript"]
    assert "".join(finals) == "good bye "
    assert vendor.sessions_ended == 1


# --- the protocol -----------------------------------------------------------------------------------------------------

PARTIAL = (
    '{"message":"AddPartialTranscript","format":"2.9","metadata":{"start_time":0.6,"end_time":1.2,'
    '"transcript":"I need"},"results":[]}'
)
FINAL = (
    '{"message":"AddTranscript","format":"2.9","metadata":{"start_time":0.6,"end_time":1.9,"transcript":"I. "},'
    '"results":[{"type":"word","start_time":0.6,"end_time":0.72,"alternatives":[{"content":"I","confidence":0.99,'
    '"language":"en","speaker":"S1"}]},{"type":"punctuation","start_time":1.9,"end_time":1.9,"is_eos":true,'
    '"attaches_to":"previous","alternatives":[{"content":".","confidence":1.0}]}],"forced":true}'
)
END = '{"message":"EndOfUtterance","metadata":{"start_time":2.4,"end_time":2.4},"forced":true}'


def dialect(*seconds: float, **settings) -> SpeechmaticsDialect:
    """With utterances of these lengths."""
    made = SpeechmaticsDialect("m", settings, TELEPHONE, SpeechmaticsFailures("speechmatics", "k"))
    for length in seconds:
        made.start()
        made.audio(np.zeros(round(8000 * length), np.int16))
    return made


def test_frames():
    ours = dialect(2.4)
    assert list(ours.feed(PARTIAL)) == [Whole("I need", of=0)]
    assert list(ours.feed(FINAL)) == [Whole("I.", of=0)]
    assert list(ours.feed(PARTIAL)) == [Whole("I. I need", of=0)]
    assert list(ours.feed(END)) == []  # nobody asked
    assert [json.loads(message) for message in ours.end()] == [{"message": "ForceEndOfUtterance", "timestamp": 2.4}]
    assert list(ours.feed(END)) == [Finished(of=0)]


def test_it_is_ready_when_it_was_told_so():
    ours = dialect()
    assert not ours.ready
    ours.feed('{"message":"Info","type":"recognition_quality","reason":"...","quality":"broadcast"}')
    assert not ours.ready
    ours.feed('{"message":"RecognitionStarted","id":"1","language_pack_info":null}')
    assert ours.ready
    assert ours.still_here() == ours.bye() == ()


def test_languages_without_spaces():
    ours = dialect(2.0)
    ours.feed('{"message":"RecognitionStarted","language_pack_info":{"word_delimiter":""}}')
    word = '{"message":"AddTranscript","metadata":{"end_time":1},"results":[{"alternatives":[{"content":"日本"}]}]}'
    assert [list(ours.feed(word)) for _ in range(2)] == [[Whole("日本", of=0)], [Whole("日本日本", of=0)]]


def test_what_attaches_to_the_next_word():
    ours = dialect(2.0)
    message = (
        '{"message":"AddTranscript","metadata":{"end_time":1},"results":[{"attaches_to":"next","alternatives":'
        '[{"content":"¿"}]},{"alternatives":[{"content":"Qué"}]},{"attaches_to":"both","alternatives":[{"content":"-"}'
        ']},{"alternatives":[{"content":"tal"}]},{},7,{"alternatives":[]},{"alternatives":[{"content":null}]}]}'
    )
    assert list(ours.feed(message)) == [Whole("¿Qué-tal", of=0)]


@pytest.mark.parametrize(
    "message",
    ["nonsense", "[1]", b"\xff\x00", "{}", '{"message":{}}', '{"message":"AudioAdded","seq_no":1}',
     '{"message":"Warning","type":"duration_limit_exceeded"}', '{"message":"EndOfTranscript"}',
     '{"message":"EndOfUtterance","metadata":null}'],
)  # fmt: skip
def test_what_means_nothing_changes_nothing(message):
    assert list(dialect(1.0).feed(message)) == []


@pytest.mark.parametrize("message", ['{"message":"AddTranscript"}', '{"message":"AddTranscript","metadata":7}'])
def test_transcripts_without_words(message):
    assert list(dialect(1.0).feed(message)) == [Whole("", of=0)]


@pytest.mark.parametrize("message", ['{"message":"Error"}', '{"message":"Error","type":[],"reason":null}'])
def test_errors_without_words(message):
    with pytest.raises(ProviderError, match="the server reported an error") as error:
        dialect().feed(message)
    assert error.value.fault == "retry"
