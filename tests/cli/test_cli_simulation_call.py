"""A simulated caller against servers of every kind, in virtual time: what he does, what he notices, what is told."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio

from callengine.audio import MULAW, read_wav, write_wav
from callengine.cli.simulation.actions import Scripted
from callengine.cli.simulation.call import Settings, SimulatedCall
from callengine.cli.simulation.caller import Manners
from callengine.cli.simulation.carriers import DIALECTS
from callengine.cli.simulation.line import Line, LineFaults
from callengine.cli.simulation.report import Summary
from callengine.cli.simulation.script import Action, HangUp, Hears, Interrupt, Play, Press, Wait
from callengine.cli.simulation.speech import Speech
from callengine.cli.simulation.wires import Closing
from callengine.providers.local.workers import Workers
from callengine.testing.carrier import CarrierSettings
from callengine.testing.link import LinkClosed
from callengine.testing.playout import PlayoutQueue
from callengine.testing.twilio import TwilioSide


class Server:
    """The other end of the wire, which a test plays: a `callengine.cli.simulation.wires.Wire`."""

    def __init__(self) -> None:
        self.closing: Closing | None = None
        self.got: list[tuple[float, dict[str, Any]]] = []
        """What the carrier sent, and when."""
        self.closed_at: float | None = None
        self.dropped = False
        self.reads = True
        self._to_carrier, self._messages = trio.open_memory_channel[tuple[bool, bytes]](10_000)

    # what the test does

    def sends(self, message: dict[str, Any] | bytes, *, text: bool = True) -> None:
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        self._to_carrier.send_nowait((text, data))

    def speaks(self, seconds: float) -> None:
        payload = b64encode(tone(seconds)).decode()
        self.sends({"event": "media", "streamSid": STREAM, "media": {"payload": payload}})

    def marks(self, name: str) -> None:
        self.sends({"event": "mark", "streamSid": STREAM, "mark": {"name": name}})

    def clears(self) -> None:
        self.sends({"event": "clear", "streamSid": STREAM})

    def closes(self, code: int = 1000, reason: str = "") -> None:
        self.closing = Closing(code, reason)
        self._to_carrier.close()

    def times(self, event: str) -> list[float]:
        return [at for at, message in self.got if message["event"] == event]

    # what the line does

    async def send(self, message: bytes) -> None:
        while not self.reads:
            await trio.sleep(0.1)
        self.got.append((trio.current_time(), json.loads(message)))

    async def receive(self) -> tuple[bool, bytes]:
        try:
            return await self._messages.receive()
        except trio.EndOfChannel:
            raise LinkClosed from None

    async def close(self) -> None:
        self.closed_at = trio.current_time()
        self._to_carrier.close()

    def drop(self) -> None:
        self.dropped = True
        self._to_carrier.close()


class Told:
    """A `Report` that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, float, str, dict[str, Any]]] = []

    def tell(self, kind: str, at: float, text: str, **data: Any) -> None:
        self.events.append((kind, at, text, data))

    def summarise(self, summary: Summary) -> None:
        raise AssertionError(f"a call does not sum up by itself, as it did with {summary}")

    def times(self, kind: str) -> list[float]:
        return [pytest.approx(at, abs=1e-6) for each, at, _, _ in self.events if each == kind]

    def texts(self, kind: str) -> list[str]:
        return [text for each, _, text, _ in self.events if each == kind]


Behaviour = Callable[[Server], Awaitable[None]]
STREAM = TwilioSide.ids(1)[1]


def tone(seconds: float) -> bytes:
    """Something audible, in mu-law."""
    time = np.arange(round(seconds * 8000)) / 8000
    return MULAW.encode((8000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16))


@pytest.fixture
def voice(tmp_path: Path) -> Play:
    """A recording of 1 s of sound between 0.2 s and 0.3 s of silence."""
    sound = np.concatenate([np.zeros(1600, np.int16), MULAW.decode(tone(1.0)), np.zeros(2400, np.int16)])
    write_wav(tmp_path / "voice.wav", sound, sample_rate=8000)
    return Play(tmp_path / "voice.wav")


async def hold(
    server: Server,
    behaviour: Behaviour,
    *actions: Action,
    told: Told | None = None,
    faults: LineFaults | None = None,
    carrier: CarrierSettings = CarrierSettings(),
    words: dict[float, str] | None = None,
    **settings: Any,
) -> Summary:
    """Hold a call with a server that behaves so from the stream's start. ``words`` are what is understood of utterances
    by their seconds."""
    side = TwilioSide(*TwilioSide.ids(1), PlayoutQueue(echo_on_clear=carrier.echo_on_clear), {})
    dialect = DIALECTS["twilio"]
    line = Line(server, faults or LineFaults(), on_binary=lambda _: side.complaints.append(dialect.says("binary")))
    speech = Speech(None, Workers(inline=True))

    async def understand(audio: bytes) -> str:
        await trio.lowlevel.checkpoint()
        return (words or {}).get(round(len(audio) / 8000, 2), "")

    call = SimulatedCall(
        line,
        side,
        dialect,
        Settings(carrier=carrier, **{"manners": Manners(pause=0.5, patience=3.0), **settings}),
        told or Told(),
        speech,
        understand,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(behaviour, server)
        summary = await call.run(Scripted(actions))
        nursery.cancel_scope.cancel()
    return summary


async def silent(_: Server) -> None:
    """A server that does nothing."""


async def greets(server: Server) -> None:
    """A server that speaks for 1 s at once, and then never again."""
    server.speaks(1.0)


# --- speaking ---------------------------------------------------------------------------------------------------------


async def test_a_caller_waits_for_the_end_of_the_agents_words_and_a_pause(autojump_clock: object, voice: Play) -> None:
    # given an agent that speaks from 0 to 1 s, and a pause of half a second
    server, told = Server(), Told()

    # when the caller says something
    await hold(server, greets, voice, told=told)

    # then he begins at 1.5 s, give or take a frame, and is heard 0.2 s into his recording
    [at] = [at for kind, at, _, _ in told.events if kind == "caller speaks"]
    assert at == pytest.approx(1.7, abs=0.021)


async def test_a_caller_speaks_all_the_same_when_his_patience_ends(autojump_clock: object, voice: Play) -> None:
    server, told = Server(), Told()
    await hold(server, silent, voice, told=told, manners=Manners(patience=2.0))
    [at] = [at for kind, at, _, _ in told.events if kind == "caller speaks"]
    assert at == pytest.approx(2.2, abs=0.041)


async def test_after_a_wait_a_caller_speaks_at_once(autojump_clock: object, voice: Play) -> None:
    server, told = Server(), Told()
    await hold(server, greets, Wait(0.3), voice, told=told)
    [(at, text)] = [(at, text) for kind, at, text, _ in told.events if kind == "caller speaks"]
    assert at == pytest.approx(0.5, abs=0.041)
    assert text == "caller cuts in: voice.wav"


async def test_the_response_time_is_from_the_last_sound_of_the_caller_to_the_first_of_the_agent(
    autojump_clock: object, voice: Play
) -> None:
    # given an agent that answers 0.7 s after the caller's last sound, though his recording ends 0.3 s later than that
    async def answers(server: Server) -> None:
        server.speaks(1.0)
        await trio.sleep(1.5 + 1.2 + 0.7)
        server.speaks(0.5)

    # when
    summary = await hold(Server(), answers, voice)

    # then it is that, to the frame
    assert summary.responses == (pytest.approx(0.7, abs=0.021),)
    assert (summary.caller_turns, summary.agent_turns) == (1, 2)


async def test_an_agent_that_just_goes_on_has_answered_nothing(autojump_clock: object, voice: Play) -> None:
    # given an agent that does not mind the caller's words, and says something else later
    async def ignores(server: Server) -> None:
        server.speaks(3.0)
        await trio.sleep(4.0)
        server.speaks(1.0)

    summary = await hold(Server(), ignores, Interrupt(0.5), voice, Wait(2.0))

    assert summary.responses == ()
    assert summary.cuts == (pytest.approx(2.3, abs=0.04),)


async def test_keys_are_pressed_in_turn_and_the_answer_to_them_is_timed(autojump_clock: object) -> None:
    async def answers(server: Server) -> None:
        await trio.sleep(2.0)
        server.speaks(0.5)

    server, told = Server(), Told()
    summary = await hold(server, answers, Wait(1.0), Press("12"), told=told)
    assert [message["dtmf"]["digit"] for _, message in server.got if message["event"] == "dtmf"] == ["1", "2"]
    assert summary.responses == (pytest.approx(0.8, abs=0.021),)
    assert told.texts("caller presses") == ["caller presses 2 keys"]  # which ones is nobody's business


# --- hearing ----------------------------------------------------------------------------------------------------------


async def test_what_the_agent_says_is_told_with_its_time_length_and_words(autojump_clock: object) -> None:
    async def speaks(server: Server) -> None:
        await trio.sleep(0.5)
        server.speaks(1.2)
        server.marks("a")

    told = Told()
    await hold(Server(), speaks, told=told, words={1.2: "Good evening."})

    assert told.times("agent says") == [0.5]
    assert told.texts("agent says") == ['agent: "Good evening."  (1.2 s, -15 dBFS, 1 mark)']


async def test_without_words_it_is_told_as_audio(autojump_clock: object) -> None:
    told = Told()
    await hold(Server(), greets, told=told)
    assert told.texts("agent says") == ["agent: audio  (1.0 s, -15 dBFS)"]


async def test_audio_that_is_missing_in_the_middle_of_speech_is_a_gap(autojump_clock: object) -> None:
    # given 0.5 s of speech, 0.12 s of nothing, and speech again; and a pause of a second between two utterances
    async def stutters(server: Server) -> None:
        server.speaks(0.5)
        await trio.sleep(0.62)
        server.speaks(0.5)
        await trio.sleep(1.5)
        server.speaks(0.5)

    told = Told()
    summary = await hold(Server(), stutters, Wait(4.0), told=told)

    # then the first is a gap within one utterance, and the second is a pause
    assert summary.gaps == (pytest.approx(0.12, abs=1e-6),)
    assert told.times("gap") == [0.5]
    assert summary.agent_turns == 2


async def test_a_clear_is_told_with_what_it_threw_away_and_leaves_no_gap(autojump_clock: object, voice: Play) -> None:
    # given an agent that is interrupted 0.5 s into 2 s of speech, and clears 0.3 s after the caller's first sound
    async def yields(server: Server) -> None:
        server.speaks(2.0)
        await trio.sleep(1.0)
        server.clears()
        await trio.sleep(0.1)
        server.speaks(0.2)

    told = Told()
    summary = await hold(Server(), yields, Interrupt(0.5), voice, told=told)

    assert (summary.clears, summary.gaps) == (1, ())
    assert summary.thrown_away == pytest.approx(1.0, abs=1e-6)
    assert told.times("clear") == [1.0]


async def test_how_soon_an_agent_falls_silent_is_from_the_callers_first_sound(
    autojump_clock: object, voice: Play
) -> None:
    async def yields(server: Server) -> None:
        server.speaks(2.0)
        await trio.sleep(1.0)
        server.clears()

    summary = await hold(Server(), yields, Interrupt(0.5), voice)
    assert summary.cuts == (pytest.approx(0.3, abs=0.041),)  # he is heard 0.2 s into his recording, from 0.5 s on


async def test_hears_goes_on_when_the_words_were_said_and_looks_behind_them_for_the_next(
    autojump_clock: object,
) -> None:
    async def speaks(server: Server) -> None:
        server.speaks(1.0)
        await trio.sleep(2.0)
        server.speaks(1.2)

    words = {1.0: "Good evening! Good evening.", 1.2: "How can I help?"}
    actions = (Hears(("good evening",)), Hears(("good morning", "EVENING.")), Hears(("can i help",)), Hears())
    summary = await hold(Server(), speaks, *actions[:3], words=words)
    assert summary.passed

    # but what was never said, or not again, fails when patience ends
    summary = await hold(Server(), speaks, *actions, words=words)
    assert summary.failures == ("waited to hear something; heard ''",)
    assert not summary.passed


async def test_patience_does_not_end_while_the_agent_speaks(autojump_clock: object) -> None:
    async def speaks_long(server: Server) -> None:
        server.speaks(5.0)

    summary = await hold(Server(), speaks_long, Hears(("menu",)), words={5.0: "That is the menu."})
    assert summary.passed


async def test_hears_fails_when_the_call_ends_first_but_not_when_its_last_words_were_those(
    autojump_clock: object,
) -> None:
    async def says_goodbye(server: Server) -> None:
        server.speaks(1.0)
        await trio.sleep(1.0)
        server.closes()

    summary = await hold(Server(), says_goodbye, Hears(("goodbye",)), words={1.0: "Goodbye."})
    assert summary.passed
    summary = await hold(Server(), says_goodbye, Hears(("hello",)), words={1.0: "Goodbye."})
    assert summary.failures == ("waited to hear 'hello'; heard 'goodbye'",)


async def test_interrupting_an_agent_that_does_not_speak_long_enough_fails(autojump_clock: object, voice: Play) -> None:
    summary = await hold(Server(), greets, Interrupt(1.5), voice)
    assert summary.failures == ("the agent did not speak for 1.5 s, to be interrupted",)
    assert summary.caller_turns == 0


# --- ending -----------------------------------------------------------------------------------------------------------


async def test_a_caller_hangs_up_when_everything_was_done_and_answered(autojump_clock: object) -> None:
    server = Server()
    summary = await hold(server, greets)
    assert (summary.ended_by, summary.ended) == ("caller", "the caller hung up")
    assert summary.duration == pytest.approx(2.0, abs=0.05)  # a second after the agent's last word
    assert server.got[-1][1]["event"] == "stop"
    assert server.closed_at is not None


async def test_hang_up_is_an_action_that_waits_for_nothing(autojump_clock: object) -> None:
    summary = await hold(Server(), greets, Wait(0.4), HangUp(), Press("1"))
    assert summary.duration == pytest.approx(0.42, abs=0.03)


async def test_duration_ends_the_call_then_and_not_before(autojump_clock: object, voice: Play) -> None:
    assert (await hold(Server(), greets, duration=5.0)).duration == pytest.approx(5.02, abs=0.03)
    assert (await hold(Server(), greets, voice, duration=0.5)).duration == pytest.approx(0.52, abs=0.03)


async def test_drop_after_breaks_the_connection_without_a_word(autojump_clock: object) -> None:
    server = Server()
    summary = await hold(server, greets, Wait(10.0), drop_after=0.5)
    assert summary.ended_by == "fault"
    assert summary.passed
    assert server.dropped
    assert server.closed_at is None
    assert not server.times("stop")


async def test_a_server_that_closes_has_ended_the_call_and_twilio_logs_that(autojump_clock: object) -> None:
    async def closes(server: Server) -> None:
        await trio.sleep(1.0)
        server.closes(1000, "bye")

    summary = await hold(Server(), closes, Wait(10.0))
    assert summary.ended_by == "server"
    assert summary.ended == "the server closed the stream with 1000 bye (Twilio logs 31921 for that)"
    assert summary.passed


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        (1006, "31903: the server vanished without closing (closed with 1006)"),
        (1002, "31924: the WebSocket protocol was broken (closed with 1002)"),
    ],
)
async def test_a_connection_that_ends_badly_is_a_complaint(autojump_clock: object, code: int, complaint: str) -> None:
    async def breaks(server: Server) -> None:
        await trio.sleep(0.5)
        server.closes(code)

    summary = await hold(Server(), breaks, Wait(10.0))
    assert summary.complaints == ((complaint, 1),)
    assert not summary.passed


# --- complaints -------------------------------------------------------------------------------------------------------


async def test_every_breach_of_the_protocol_is_told_once_and_counted(autojump_clock: object) -> None:
    async def babbles(server: Server) -> None:
        for _ in range(3):
            server.sends(b"{")
        server.sends({"event": "clear", "streamSid": "MZ" + "f" * 32})
        server.sends({"event": "hangup", "streamSid": STREAM})
        server.sends(b"\x00\x01", text=False)

    told = Told()
    summary = await hold(Server(), babbles, Wait(0.5), told=told)
    assert dict(summary.complaints) == {
        "31951: b'{'": 3,
        "31951: wrong streamSid": 1,
        f"""31951: b'{{"event": "hangup", "streamSid": "{STREAM}"}}'""": 1,
        "31950: a binary message": 1,
    }
    assert len(told.texts("complaint")) == 4
    assert told.texts("complaint")[0] == "PROTOCOL: 31951: b'{'"


async def test_a_flood_of_different_breaches_is_told_twenty_times(autojump_clock: object) -> None:
    async def floods(server: Server) -> None:
        for number in range(100):
            server.sends(b"%d" % number)

    told = Told()
    summary = await hold(Server(), floods, Wait(0.5), told=told)
    assert len(told.texts("complaint")) == 21
    assert sum(times for _, times in summary.complaints) == 100


async def test_a_server_that_does_not_read_loses_audio_and_is_told(autojump_clock: object) -> None:
    server = Server()
    server.reads = False

    summary = await hold(server, silent, Wait(15.0))

    assert len(summary.complaints) == 1
    assert summary.complaints[0][0].startswith("31930: the server does not read what the caller says (")


# --- misbehaviour -----------------------------------------------------------------------------------------------------


async def test_delay_holds_both_directions_back(autojump_clock: object) -> None:
    server, told = Server(), Told()
    began = trio.current_time()
    await hold(server, greets, faults=LineFaults(delay=0.25), told=told)
    assert server.got[0][0] - began == pytest.approx(0.25)
    assert told.times("agent speaks") == [0.25]


async def test_burst_delivers_the_callers_audio_together(autojump_clock: object) -> None:
    server = Server()
    await hold(server, silent, faults=LineFaults(burst=1.0), duration=3.0)
    assert len(server.times("media")) >= 150
    assert len(set(server.times("media"))) <= 5


async def test_jitter_makes_the_callers_audio_late(autojump_clock: object) -> None:
    server = Server()
    await hold(server, silent, carrier=CarrierSettings(jitter=0.1), duration=1.0)
    times = server.times("media")
    steps = [after - before for before, after in pairwise(times)]
    assert max(steps) > 0.03


@pytest.mark.parametrize(
    ("carrier", "echoes"),
    [
        (CarrierSettings(), [("a", 0.5), ("b", 1.0)]),
        (CarrierSettings(marks="never"), []),
        (CarrierSettings(marks="late", mark_delay=0.3), [("a", 0.8), ("b", 1.3)]),
        (CarrierSettings(marks="twice"), [("a", 0.5), ("a", 0.5), ("b", 1.0), ("b", 1.0)]),
        (CarrierSettings(marks="reversed"), [("b", 1.0), ("a", 1.0)]),
    ],
)
async def test_marks_are_echoed_as_told(
    autojump_clock: object, carrier: CarrierSettings, echoes: list[tuple[str, float]]
) -> None:
    async def speaks(server: Server) -> None:
        server.speaks(0.5)
        server.marks("a")
        server.speaks(0.5)
        server.marks("b")

    server = Server()
    began = trio.current_time()
    summary = await hold(server, speaks, carrier=carrier, duration=2.0)
    heard = [(message["mark"]["name"], at - began) for at, message in server.got if message["event"] == "mark"]
    assert heard == [(name, pytest.approx(at, abs=1e-6)) for name, at in echoes]
    assert summary.marks == 2


@pytest.mark.parametrize("echo", [True, False])
async def test_a_clear_may_forget_the_marks(autojump_clock: object, echo: bool) -> None:
    async def clears(server: Server) -> None:
        server.speaks(1.0)
        server.marks("a")
        await trio.sleep(0.2)
        server.clears()

    server = Server()
    await hold(server, clears, carrier=CarrierSettings(echo_on_clear=echo), duration=2.0)
    assert len(server.times("mark")) == echo


async def test_no_stop_hangs_up_without_saying_so(autojump_clock: object) -> None:
    server = Server()
    await hold(server, greets, carrier=CarrierSettings(stop_frame=False))
    assert not server.times("stop")
    assert server.closed_at is not None


# --- recording --------------------------------------------------------------------------------------------------------


async def test_a_recording_has_the_caller_on_the_left_and_the_agent_on_the_right(
    autojump_clock: object, tmp_path: Path, voice: Play
) -> None:
    # given an agent that is heard from 0 to 1 s, and a caller from about 1.7 to 2.7 s
    await hold(Server(), greets, voice, record=tmp_path / "call.wav")

    mixed, rate = read_wav(tmp_path / "call.wav")
    loud = np.abs(mixed.reshape(-1)) > 1000
    assert rate == 8000
    assert loud[: 8000 - 100].mean() > 0.5
    assert not loud[8000 + 100 : 13400].any()
    assert loud[14000:21000].mean() > 0.5
