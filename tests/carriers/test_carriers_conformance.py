"""What every carrier promises, asked of each: the recipe, what it can do, and the wire.

This suite is for whoever adds a carrier: see docs/adding-a-carrier.md. What only one carrier does is in files of its
own (``test_<carrier>_...``).
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

import attrs
import httpx
import pytest
from conformance import (
    CLOUDS,
    EVERY,
    SUBJECTS,
    WEB_SOCKETS,
    commands,
    names,
)

from benchmarks.wire.fuzz import fuzz
from benchmarks.wire.traffic import FRAME, traffic
from callengine import CallEngineError, ConfigurationError
from callengine.audio.convert import from_pcm, to_pcm
from callengine.carriers.audiosocket.codec import AudioSocketCodec
from callengine.errors import NotSupported
from callengine.ports import (
    BadMessage,
    CarrierEvent,
    DtmfPressed,
    Ignored,
    KeyCodec,
    MarkEchoed,
    StreamStopped,
)
from callengine.telephony import (
    SelfServing,
)
from callengine.testing.accounts import SENDER, recipe
from callengine.testing.audiosocket import in_memory
from callengine.testing.side import kinds


def test_every_carrier_that_can_be_simulated_is_in_the_suite():
    assert tuple(subject.kind for subject in SUBJECTS) == kinds()


# --- the recipe -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(**EVERY)
def test_a_recipe_is_a_frozen_value_that_can_be_shared(subject):
    first, second = subject.recipe, subject.recipe
    assert (first, hash(first)) == (second, hash(second))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        first.name = "another"
    assert first != attrs.evolve(first, name="another")


@pytest.mark.parametrize(**EVERY)
def test_a_recipe_shows_no_secret_and_no_number(subject):
    for secret in [*subject.secret_values, SENDER]:
        assert secret not in repr(subject.recipe)


@pytest.mark.parametrize(**EVERY)
def test_names_fit_in_the_path_of_a_url(subject):
    for name in [subject.recipe.name, *subject.recipe.webhooks]:
        assert re.fullmatch("[a-z][a-z0-9-]*", name)
    assert "media" not in subject.recipe.webhooks  # that route is the engine's


@pytest.mark.parametrize(**EVERY)
def test_every_stream_has_a_codec_of_its_own(subject):
    assert subject.recipe.codec() is not subject.recipe.codec()


@pytest.mark.parametrize(**CLOUDS)
def test_what_is_missing_is_named_by_a_variable_that_is_read(subject, monkeypatch):
    for name in list(os.environ):
        if name.startswith(f"{subject.kind.upper()}_"):
            monkeypatch.delenv(name)
    cls, whole = type(subject.recipe), subject.recipe
    bare = cls()
    assert whole.missing_configuration() is None
    assert whole.missing_for_commands() is None
    for setting, problem in (
        (subject.verifies_with, bare.missing_configuration()),
        (subject.commands_with, bare.missing_for_commands()),
    ):
        variables = re.findall(rf"{subject.kind.upper()}_[A-Z_]+", problem)
        for variable in variables:
            monkeypatch.setenv(variable, str(getattr(whole, setting)))
        assert getattr(cls(), setting) == getattr(whole, setting), f"none of {variables} is {setting}"
        for variable in variables:
            monkeypatch.delenv(variable)


@pytest.mark.parametrize(**CLOUDS)
def test_without_its_key_there_are_no_commands_and_it_says_why(subject):
    carrier = recipe(subject.kind, **{subject.commands_with: ""})
    problem = carrier.missing_for_commands()
    assert problem
    with pytest.raises(ConfigurationError) as raised:
        carrier.control(httpx.AsyncClient())
    assert re.search(rf"{subject.kind.upper()}_[A-Z_]+", str(raised.value))
    assert not [secret for secret in subject.secret_values if secret in str(raised.value)]


# --- capabilities -----------------------------------------------------------------------------------------------------


def _nobody(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"{request.method} {request.url.path}: nothing should be asked")


@pytest.mark.parametrize(**commands(possible=False))
async def test_what_a_carrier_cannot_do_is_said_before_anything_is_asked(subject, command):
    control = subject.recipe.control(httpx.AsyncClient(transport=httpx.MockTransport(_nobody)))
    with pytest.raises(NotSupported, match=subject.kind):
        await command.give(control, *names(subject.kind))


@pytest.mark.parametrize(**EVERY)
def test_keys_are_on_the_socket_where_it_says_so(subject):
    assert isinstance(traffic(subject.kind).codec, KeyCodec) == (subject.can.dtmf_out == "socket")


@pytest.mark.parametrize(**EVERY)
def test_who_cannot_call_anybody_cannot_transfer_warmly(subject):
    assert subject.can.dial or "warm" not in subject.can.transfers
    assert subject.can.hang_up or not subject.can.dial
    assert (subject.can.instructed == "stream") == isinstance(subject.recipe, SelfServing)


# --- the codec --------------------------------------------------------------------------------------------------------


def decoded(stream: Any, messages: list[tuple[bool, bytes]]) -> list[CarrierEvent]:
    return [stream.codec.decode(*message) for message in messages]


@pytest.mark.parametrize(**EVERY)
def test_a_whole_stream_is_understood(subject):
    stream = traffic(subject.kind)
    started = [event for event in decoded(stream, stream.opening()) if not isinstance(event, Ignored)]
    assert [(event.stream_id, event.call_id) for event in started] == [(stream.side.stream_id, stream.side.call_id)]
    audio_format = started[0].audio_format
    heard = b"".join(event for _ in range(50) for event in decoded(stream, stream.media()))
    assert from_pcm(to_pcm(heard, audio_format.encoding), "mulaw") == FRAME * 50
    rest = decoded(stream, [stream.dtmf("#"), stream.mark("u1:2"), *([last] if (last := stream.stop()) else [])])
    assert rest == [DtmfPressed("#"), MarkEchoed("u1:2"), StreamStopped()][: len(rest)]


@pytest.mark.parametrize(**WEB_SOCKETS)
def test_what_is_written_is_what_the_carrier_takes(subject):
    stream = traffic(subject.kind)
    codec = stream.started()
    side = stream.side
    written = [codec.media(FRAME * 5), codec.mark('u1:1 "quoted"'), codec.media(FRAME), codec.mark("u1:2")]
    for message in written:
        side.take(1.0, message)
    assert side.queue.played_audio(1.11) == FRAME * 5 + FRAME[:80]
    assert side.queue.reached(1.1) == ['u1:1 "quoted"']
    side.take(1.11, codec.clear())
    assert not side.queue.playing(1.12)
    assert [kind for _, kind in side.received] == ["media", "mark", "media", "mark", "clear"]
    assert side.complaints == []


@pytest.mark.parametrize(**EVERY)
def test_nothing_can_be_written_before_the_start(subject):
    codec = traffic(subject.kind).codec
    for write in (lambda: codec.media(FRAME), lambda: codec.mark("m"), codec.clear):
        with pytest.raises(CallEngineError, match="start"):
            _hand_over(codec, write)


def _hand_over(codec: Any, write: Any) -> None:
    message = write()
    if isinstance(codec, AudioSocketCodec):  # there it is the socket that knows
        in_memory(0.0)[1].send_nowait(message)


@pytest.mark.parametrize(**EVERY)
def test_what_comes_before_the_start_or_twice_changes_nothing(subject):
    stream = traffic(subject.kind)
    early = [event for event in decoded(stream, stream.media()) if event != b""]
    assert all(isinstance(event, Ignored) for event in early)
    stream.started()
    again = decoded(stream, stream.opening())
    assert all(isinstance(event, Ignored | BadMessage) for event in again)


@pytest.mark.parametrize(**WEB_SOCKETS)
def test_keys_and_events_that_nobody_knows_yet_are_harmless(subject):
    known, stream = traffic(subject.kind), traffic(subject.kind)
    samples = [*known.opening(), *known.media(), known.dtmf("5"), known.mark("m")]
    for message in samples:
        assert stream.codec.decode(True, _extended(message[1])) == known.codec.decode(*message)
    odd = json.dumps({**json.loads(known.dtmf("5")[1]), "event": "brand.new"}).encode()
    assert isinstance(stream.codec.decode(True, odd), Ignored)


def _extended(message: bytes) -> bytes:
    def extend(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {"brand_new": [1]} | {name: extend(inner) for name, inner in value.items() if name not in _CUSTOM}

    data = json.loads(message)
    return json.dumps(extend(data)).encode()


_CUSTOM = ("customParameters", "custom_parameters")
"""Whatever stands in there is the application's."""


@pytest.mark.parametrize(**EVERY)
def test_damage_is_never_raised_and_never_kept(subject):
    result = fuzz(subject.kind, 1500, seed=1)
    assert (result.raised, result.example) == ({}, "")
    assert result.growth < 32_768
    assert result.events["BadMessage"] > 100


@pytest.mark.parametrize(**EVERY)
def test_a_stream_goes_on_after_damage(subject):
    stream = traffic(subject.kind)
    codec = stream.started()
    for message in (b"", b"{", b"\xff\xfe", b"null", b'{"event":7}', b"[" * 9000):
        assert isinstance(codec.decode(True, message), BadMessage | Ignored)
        assert isinstance(codec.decode(False, b"\x7f" + message), BadMessage | Ignored)
    assert b"".join(event for event in decoded(stream, stream.media()) if isinstance(event, bytes))
