"""On a cut: the clear is next on the wire, nothing of the utterance follows it, and the caller hears silence."""

from __future__ import annotations

import json
import socket as stdlib_socket

import attrs
import pytest
import trio
from lab_calls import CLOUD, CUT
from sending import COUNTING, started, wire
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from callengine import Agent
from callengine.audio.format import TELEPHONE
from callengine.call.sender import Sender
from callengine.call.settings import SenderSettings
from callengine.carriers.twilio.wire import TwilioCodec
from callengine.journal import Journal, JournalSettings
from callengine.ports import StreamStarted
from callengine.services.media_socket import WebSocketMediaSocket
from callengine.services.metronome import Metronome
from callengine.testing import CarrierSettings
from callengine.testing.playout import PlayoutQueue
from callengine.testing.twilio import TwilioSide

pytestmark = CLOUD

AGENT = Agent(greeting="Hi.", prompt="Be brief.")


def cutting(text: str, after: float):
    """A story that says something and empties the line so long after its first audio."""

    async def story(call):
        async def say():
            story.heard.append(await call.say(text))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say)
            await trio.sleep(0.1 + after)  # the scripted voice's first audio comes after 0.1 s
            story.cut_at = trio.current_time()
            call.clear()
        await call.listen()

    story.heard = []
    return story


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("speed", [1.0, 10.0], ids=["while it is synthesised", "when it was synthesised"])
@pytest.mark.parametrize("after", [0.001, 0.03, 0.05, 1.0, 1.517])
async def test_silence_comes_with_the_clear(call_lab, delay, speed, after):
    call_lab.tts.speed = speed
    story = cutting(COUNTING, after)
    async with call_lab.dial(story, carrier=CarrierSettings(delay=delay)) as caller:
        await caller.waits(4)
        queue = caller.leg.queue
        assert queue.ends_at == pytest.approx(story.cut_at + delay, abs=1e-9)
        clears = [at for at, event in caller.leg.side.received if event == "clear"]
        assert clears == pytest.approx([story.cut_at + delay])
    messages = wire(call_lab)
    assert messages.count("clear") == 1
    assert messages[messages.index("clear") :] == ["clear", "mark p2"]
    call_lab.assert_nothing_left()


async def test_a_caller_who_interrupts_is_not_spoken_over(call_lab):
    call_lab.llm.replies(COUNTING, "Fine.")
    async with call_lab.dial(attrs.evolve(AGENT, turns=CUT), carrier=CarrierSettings(delay=0.1)) as caller:
        await caller.hears("Hi.")
        await caller.says("Count, please.")
        await caller.interrupts("Stop it now.", after=2.0)
        await caller.hears("Fine.")
        cleared_at, dropped = caller.leg.queue.cleared[0]
    journal = call_lab.call.journal
    barge_in, clear = journal.of("barge_in")[0], journal.of("clear.sent")[0]
    assert clear.t == barge_in.t
    assert barge_in.t - barge_in.data["onset"] == pytest.approx(0.2, abs=0.04)
    assert cleared_at == pytest.approx(clear.t + journal.started_at + 0.1)
    assert 0 < len(dropped) / 8000 <= 0.17 + 1e-6
    messages = wire(call_lab)
    assert messages.count("clear") == 1
    at = messages.index("clear")
    assert messages[at + 1] == "mark p2"
    assert messages[at + 2 : at + 4] == ["media", "mark u3:1"]


@pytest.mark.parametrize("after", [-0.05, 0.5])
async def test_nothing_is_cleared_where_nothing_was_sent_or_all_was_played(call_lab, after):
    """Before the first audio of a short utterance, or after the last mark is back."""
    story = cutting("One.", after)
    async with call_lab.dial(story) as caller:
        await caller.waits(3)
    assert "clear" not in wire(call_lab)
    assert story.heard[0].heard == ("" if after < 0 else "One.")
    assert story.heard[0].cut_by == ("application" if after < 0 else None)


async def test_a_cut_between_the_last_sample_and_its_mark_clears_to_be_sure_and_counts_as_heard(call_lab):
    story = cutting("One.", 0.3 + 0.05)
    async with call_lab.dial(story, carrier=CarrierSettings(delay=0.2)) as caller:
        await caller.waits(3)
        assert caller.heard == "One."
        assert caller.leg.queue.cleared == []
    assert wire(call_lab).count("clear") == 1
    assert story.heard[0].complete
    assert story.heard[0].cut_by is None
    assert story.heard[0].certainty == "clock"


async def test_an_application_mark_in_what_was_never_sent_is_cleared(call_lab):
    marks = []

    async def story(call):
        async def mark():
            marks.append((await call.mark("never"), trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.say, COUNTING)
            await trio.sleep(0.3)
            nursery.start_soon(mark)
            await trio.sleep(0.1)
            call.clear()
            marks.append(trio.current_time())

    async with call_lab.dial(story) as caller:
        await caller.is_hung_up_on()
    assert marks == [marks[0], ("cleared", marks[0])]
    assert not any("never" in message for message in wire(call_lab))


async def test_an_application_mark_in_what_is_held_back_is_cleared(call_lab):
    """Nothing of it was sent, so that there is nothing to clear on the wire either."""
    marks = []

    async def story(call):
        async def mark():
            marks.append((await call.mark("never"), trio.current_time()))

        await trio.sleep(1.0)  # the caller is speaking
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.say, COUNTING)
            await trio.sleep(0.3)
            nursery.start_soon(mark)
            await trio.sleep(0.1)
            call.clear()
            marks.append(trio.current_time())
        await call.listen()

    async with call_lab.dial(story) as caller:
        await caller.says(COUNTING)
    assert marks == [marks[0], ("cleared", marks[0])]
    assert wire(call_lab) == ["mark p1"]


# --- a peer that does not read, on a real socket --------------------------------------------------------------------


def messages_in(data: bytes) -> list[bytes]:
    """The text messages in what a client read."""
    client = ClientProtocol(parse_uri("ws://voice.example.com/media"), state=OPEN, max_size=None)
    client.receive_data(data)
    return [bytes(event.data) for event in client.events_received() if isinstance(event, Frame)]


@pytest.mark.carrier("twilio")
async def test_under_backpressure_what_was_not_sent_is_thrown_away_and_the_clear_is_next(autojump_clock):
    ours, theirs = stdlib_socket.socketpair()
    ours.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_SNDBUF, 4096)
    stream, peer = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in (ours, theirs))
    codec = TwilioCodec()
    side = TwilioSide("CA" + "1" * 32, "MZ" + "1" * 32, PlayoutQueue(), {})
    assert isinstance([codec.decode(True, message) for message in side.opening()][1], StreamStarted)
    socket, metronome, journal = WebSocketMediaSocket(stream), Metronome(), Journal("CA1", JournalSettings())
    sender = Sender(
        socket=socket,
        codec=codec,
        audio_format=TELEPHONE,
        metronome=metronome,
        settings=SenderSettings(),
        journal=journal,
        post=lambda _: None,
        fail=lambda error: pytest.fail(str(error)),
    )

    async def speak():
        async with sender.utterance(ended=lambda: False) as utterance:
            utterance.spoken.plan("Much.")
            utterance.spoken.begin_piece()
            await utterance.write(bytes(8000 * 20))

    async with trio.open_nursery() as nursery, peer:
        nursery.start_soon(metronome.run)
        nursery.start_soon(socket.run)
        nursery.start_soon(speak)
        await trio.sleep(15.0)  # nobody reads
        sender.cut("caller")
        await trio.sleep(1.0)  # and still nobody does
        got = b""
        with trio.move_on_after(1.0):
            while True:
                got += await peer.receive_some(65536)
        socket.close_nowait()
        nursery.cancel_scope.cancel()
    events = [json.loads(message) for message in messages_in(got)]
    kinds = [event["event"] for event in events]
    sent = len(journal.of("media.sent"))
    assert sent > 150
    assert 2 < kinds.count("media") < sent / 2  # the rest never left
    assert kinds[-2:] == ["clear", "mark"]
    assert kinds.count("clear") == 1
    assert events[-1]["mark"]["name"] == "p1"


async def test_a_cut_over_real_sockets(live_call_lab):
    """On the real clock: the caller's leg stops reading, and what had not left is gone when it reads again."""
    story = cutting(COUNTING, 0.3)
    async with live_call_lab.dial(story) as caller:
        await started(live_call_lab)
        await caller.waits(1.0)
        received = [event for _, event in caller.leg.side.received]
        assert received.count("clear") == 1
        assert received[received.index("clear") :] == ["clear", "mark"]
        assert not caller.leg.queue.playing(trio.current_time())
        await caller.hangs_up()
    live_call_lab.assert_nothing_left()
