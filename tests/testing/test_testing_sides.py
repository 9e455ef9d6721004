"""Every carrier's simulated end: the engine's own codec understands it, and is understood."""

from __future__ import annotations

import pytest

from callengine import Agent
from callengine.errors import ConfigurationError
from callengine.ports import DtmfPressed, Ignored, MarkEchoed, StreamStarted, StreamStopped
from callengine.testing import CallLab, CarrierSettings
from callengine.testing.accounts import recipe, recipes
from callengine.testing.playout import PlayoutQueue
from callengine.testing.side import kinds, side_of

HELLO = Agent(prompt="Be brief.", greeting="Hello there.")
WEB_SOCKETS = [kind for kind in kinds() if kind != "audiosocket"]
AUDIO = bytes(range(0x80, 0x80 + 16)) * 10
"""A frame that survives every encoding."""


def opened(kind: str, parameters: dict[str, str] | None = None):
    """A side, the engine's codec of the same carrier, and what it understood of the opening."""
    cls = side_of(kind)
    side = cls(*cls.ids(7), PlayoutQueue(), parameters or {})
    codec = recipe(kind).codec()
    return side, codec, [codec.decode(True, message) for message in side.opening()]


@pytest.mark.parametrize("kind", WEB_SOCKETS)
def test_a_stream_starts_with_its_names_and_parameters(kind):
    side, _, events = opened(kind, {"caller": "Anna"})
    [started] = [event for event in events if isinstance(event, StreamStarted)]
    assert (started.call_id, started.stream_id) == (side.call_id, side.stream_id)
    assert started.parameters == {"caller": "Anna"}
    assert all(isinstance(event, StreamStarted | Ignored) for event in events)


@pytest.mark.parametrize("kind", kinds())
def test_every_call_has_names_of_its_own(kind):
    names = [name for number in range(1, 50) for name in set(side_of(kind).ids(number))]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("kind", WEB_SOCKETS)
def test_what_the_caller_does_is_understood(kind):
    side, codec, _ = opened(kind)
    heard = b"".join(codec.decode(True, message) for _ in range(5) for message in side.media(AUDIO))
    assert heard == AUDIO * 5
    assert codec.decode(True, side.dtmf("#")) == DtmfPressed("#")
    assert codec.decode(True, side.mark("u1:2")) == MarkEchoed("u1:2")
    last = side.stop()
    assert last is None or codec.decode(True, last) == StreamStopped()


@pytest.mark.parametrize("kind", WEB_SOCKETS)
def test_what_the_engine_sends_is_played(kind):
    side, codec, _ = opened(kind)
    assert side.take(1.0, codec.media(AUDIO * 10)).echoes == ()
    side.take(1.0, codec.mark("u1:1"))
    assert side.queue.next_mark == pytest.approx(1.2)
    assert side.queue.playing(1.1)
    reaction = side.take(1.1, codec.clear())
    assert reaction.echoes == ("u1:1",) or reaction.messages  # a carrier that echoes nothing says that it cleared
    assert not side.queue.playing(1.1)
    assert side.queue.played_audio(2.0) == AUDIO * 5
    assert [kind for _, kind in side.received] == ["media", "mark", "clear"]
    assert side.complaints == []


@pytest.mark.parametrize("kind", WEB_SOCKETS)
@pytest.mark.parametrize(
    "message", [b"", b"hello", b"{}", b"[]", b'{"event":"dance"}', b"\xff\xfe", b'{"event":"media"}']
)
def test_what_no_carrier_takes_is_complained_about(kind, message):
    side, _, _ = opened(kind)
    side.take(0.0, message)
    assert len(side.complaints) == 1
    assert side.received == []


@pytest.mark.parametrize(
    "message",
    [
        b'{"event":"media","streamSid":"MZ0","media":{"payload":"AAAA"}}',
        b'{"event":"media","streamSid":"%s","media":{"payload":"AAAA","track":"outbound"}}',
        b'{"event":"media","streamSid":"%s","media":{"payload":"A"}}',
        b'{"event":"media","streamSid":"%s","media":"AAAA"}',
        b'{"event":"mark","streamSid":"%s","mark":{}}',
        b'{"event":"mark","streamSid":"%s","mark":{"name":5}}',
        b'{"event":"clear","streamSid":"%s","clear":{}}',
        b'{"event":"dtmf","streamSid":"%s","dtmf":{"digit":"5"}}',
    ],
)
def test_twilio_is_strict(message):
    side, _, _ = opened("twilio")
    side.take(0.0, message.replace(b"%s", side.stream_id.encode()))
    assert len(side.complaints) == 1


@pytest.mark.parametrize("kind", ["signalwire", "plivo"])
def test_keys_can_be_sent_on_the_stream(kind):
    side, codec, _ = opened(kind)
    for message in [codec.dtmf("1"), codec.dtmf("#")]:
        side.take(0.0, message)
    assert (side.pressed, side.complaints) == ("1#", [])


def test_the_lab_has_an_account_with_every_carrier():
    assert tuple(carrier.name for carrier in recipes(commands=True)) == kinds()
    assert [carrier.missing_configuration() for carrier in recipes(commands=True)] == [None] * len(kinds())
    able = {carrier.name for carrier in recipes(commands=True) if carrier.missing_for_commands() is None}
    assert able == set(WEB_SOCKETS)
    assert all(carrier.missing_for_commands() for carrier in recipes(commands=False))


# --- in the lab -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", kinds())
async def test_a_call_by_any_carrier(call_lab, kind):
    call_lab.llm.replies("At eight.")
    async with call_lab.dial(HELLO, carrier=kind) as caller:
        await caller.hears("Hello there.")
        await caller.says("When is a table free?")
        await caller.hears("At eight.")
        await caller.hangs_up()
    assert call_lab.call.carrier == kind
    assert [turn.heard for turn in call_lab.call.outcome.turns] == ["Hello there.", "At eight."]


@pytest.mark.parametrize("kind", ["telnyx", "audiosocket"])
async def test_a_call_by_any_carrier_over_real_sockets(live_call_lab, kind):
    async with live_call_lab.dial(HELLO, carrier=kind) as caller:
        await caller.hears("Hello there.")
        await caller.hangs_up()
    assert live_call_lab.call.carrier == kind


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("telnyx", {"inbound": "PCMA"}),
        ("telnyx", {"shuffled": 5}),
        ("audiosocket", {"goodbye": True}),
    ],
)
async def test_a_carriers_own_options_reach_its_side(call_lab, kind, options):
    carrier = CarrierSettings(kind=kind, options=options)
    async with call_lab.dial(HELLO, carrier=carrier) as caller:
        await caller.hears("Hello there.")
        await caller.hangs_up()
    with pytest.raises(TypeError, match="louder"):
        async with call_lab.dial(HELLO, carrier=CarrierSettings(kind=kind, options={"louder": True})):
            pass


async def test_two_calls_of_one_lab_may_come_by_two_carriers(call_lab):
    async with call_lab.engine(HELLO) as engine:
        async with call_lab.dial(engine, carrier="telnyx") as one, call_lab.dial(engine, carrier="plivo") as other:
            await one.hears("Hello there.")
            await other.hears("Hello there.")
    assert [call.carrier for call in call_lab.calls] == ["telnyx", "plivo"]


def test_a_lab_of_an_unknown_carrier_is_refused():
    with pytest.raises(ConfigurationError, match="no simulated carrier 'bell': choose one of twilio, signalwire"):
        CallLab(carrier="bell")
    with pytest.raises(ConfigurationError, match="no simulated carrier 'bell'"):
        recipe("bell")


@pytest.mark.parametrize("message", [b"", b"[" * 200_000, b"\x00", b"{}", b"null", b'{"event":[]}'])
@pytest.mark.parametrize("kind", kinds())
def test_whatever_a_server_sends_is_a_complaint_and_no_crash(kind: str, message: bytes) -> None:
    side = side_of(kind)(*side_of(kind).ids(1), PlayoutQueue(), {})
    side.opening()
    before = len(side.complaints)

    side.take(0.0, message)

    assert len(side.complaints) == before + 1
