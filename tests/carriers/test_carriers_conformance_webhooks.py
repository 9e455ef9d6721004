"""What every carrier promises: its webhooks, which nobody can forge, and what they are answered.

They are those of an evening on each carrier's simulated network: see `conformance.evening`.
"""

from __future__ import annotations

import json
import random
import re
from typing import Any
from xml.etree import ElementTree

import attrs
import pytest
from conformance import (
    ANSWERED,
    BASE,
    CLOUDS,
    HELLO,
    MACHINE,
    OTHER,
    PERSON,
    PHONES,
    REFUSES_TEXTS,
    Told,
    able,
    evening,
    those,
    urls,
)

from callengine.errors import NotSupported, WebhookError
from callengine.telephony import (
    CallProgress,
    ConnectStream,
    DialTarget,
    IncomingCall,
    IncomingMessage,
    Instruction,
    InstructionsWanted,
    JoinRoom,
    MachineDetection,
    MessageProgress,
    RecordingReady,
    ReferTo,
    Refuse,
    SignsTime,
    StreamFailed,
    TransferEnded,
    Webhook,
)
from callengine.testing.accounts import SENDER, recipe

# --- signatures -------------------------------------------------------------------------------------------------------


def verified(carrier: Any, told: Told, **changes: Any) -> bool:
    prepared = attrs.evolve(told.prepared, **changes)
    return carrier.verify_webhook(prepared.method, prepared.url, prepared.headers, prepared.body, told.now)


@pytest.mark.parametrize(**CLOUDS)
def test_what_the_carrier_signed_is_genuine(subject):
    assert all(verified(subject.recipe, told) for told in evening(subject.kind).told)


@pytest.mark.parametrize(**CLOUDS)
def test_without_the_key_or_with_another_nothing_is_genuine(subject):
    for key in ("", subject.other_key):
        carrier = recipe(subject.kind, **{subject.verifies_with: key})
        assert not any(verified(carrier, told) for told in evening(subject.kind).told)
        assert bool(carrier.missing_configuration()) == (key == "")


@pytest.mark.parametrize(**CLOUDS)
def test_what_was_changed_on_its_way_is_not_genuine(subject):
    for told in evening(subject.kind).told:
        if told.webhook.what not in subject.loose:
            assert not verified(subject.recipe, told, body=told.prepared.body.replace(b"0", b"1", 1))
            assert not verified(subject.recipe, told, body=told.prepared.body + b"&More=1")
            assert not verified(subject.recipe, told, body=b"")


@pytest.mark.parametrize(**CLOUDS)
def test_a_signature_that_is_missing_or_garbage_is_refused(subject):
    told = evening(subject.kind).told[0]
    signing = [name for name in told.prepared.headers if "signature" in name or "timestamp" in name]
    assert signing
    without = {name: value for name, value in told.prepared.headers.items() if name not in signing}
    assert not verified(subject.recipe, told, headers=without)
    for garbage in ("", "\u20ac", "A" * 5000, "====", "-1", "1e9", ","):
        assert not verified(subject.recipe, told, headers=without | dict.fromkeys(signing, garbage))
        for name in signing:  # where there are several signatures, one that is good is enough
            verified(subject.recipe, told, headers=told.prepared.headers | {name: garbage})
    assert not verified(subject.recipe, told, headers={})


@pytest.mark.parametrize(**those(lambda subject: isinstance(subject.recipe, SignsTime)))
def test_a_signed_time_is_looked_at(subject):
    told = evening(subject.kind).told[0]
    for distance in (-31.5, 600.0):
        assert not verified(subject.recipe, attrs.evolve(told, now=told.now + distance))
    parts = {subject.recipe.signed(each.prepared.headers, each.prepared.body) for each in evening(subject.kind).told}
    assert len(parts) == len(evening(subject.kind).told)


@pytest.mark.parametrize(**CLOUDS)
async def test_a_media_upgrade_that_is_signed_is_looked_at(subject, call_lab):
    async with call_lab.network(HELLO, carrier=subject.kind) as network:
        url = "wss://voice.example.com/any/media/token"
        headers = network.cloud.upgrade_headers(url)
        assert subject.recipe.verify_upgrade(url, headers)
        if headers:
            assert not subject.recipe.verify_upgrade(url, {})
            assert not subject.recipe.verify_upgrade(url + "2", headers)


@pytest.mark.parametrize(**those(lambda subject: not subject.cloud))
def test_who_has_no_webhooks_trusts_none(subject):
    assert subject.recipe.webhooks == frozenset()
    assert not subject.recipe.verify_webhook("POST", BASE, {}, b"", 0.0)
    assert not subject.recipe.verify_upgrade(BASE, {})
    with pytest.raises(WebhookError):
        subject.recipe.read_webhook(Webhook(what="voice"))
    assert subject.recipe.answer(Webhook(what="voice"), None, None).status == 404


# --- webhooks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(**CLOUDS)
def test_an_incoming_call_says_who_calls_whom(subject):
    [call] = evening(subject.kind).facts(IncomingCall)
    assert (call.caller, call.callee) == (PERSON, SENDER)
    assert evening(subject.kind).phones[call.call_id] == PERSON
    assert PERSON not in repr(call)


@pytest.mark.parametrize(**CLOUDS)
@pytest.mark.parametrize("number", PHONES)
def test_a_leg_gets_to_one_end_and_says_which(subject, number):
    night = evening(subject.kind)
    progress = [
        fact
        for fact in night.facts(CallProgress)
        if night.phones.get(fact.call_id) == number and fact.reference is not None
    ]
    ends = {fact.progress for fact in progress if fact.final}
    assert len(ends) == 1
    assert ends <= PHONES[number][1]
    assert progress[-1].final
    assert progress[-1].reason
    orders = [fact.order for fact in progress if fact.order is not None]
    assert orders == sorted(orders)
    assert ("answered" in {fact.progress for fact in progress}) == (number in (ANSWERED, MACHINE))


@pytest.mark.parametrize(**those(lambda subject: "cold" in subject.can.transfers))
def test_a_transfer_that_nobody_takes_is_told_with_its_reason(subject):
    [ended] = evening(subject.kind).facts(TransferEnded)
    assert (ended.result, ended.waiting, bool(ended.reference)) == ("busy", True, True)
    assert evening(subject.kind).phones[ended.call_id] == PERSON


@pytest.mark.parametrize(**able("amd"))
def test_a_machine_is_told_of_the_right_leg(subject):
    found = evening(subject.kind).facts(MachineDetection)
    assert {(evening(subject.kind).phones[fact.call_id], fact.answered_by) for fact in found} == {(MACHINE, "machine")}


@pytest.mark.parametrize(**able("recording"))
def test_a_recording_is_told_with_what_to_fetch(subject):
    [ready] = evening(subject.kind).facts(RecordingReady)
    assert (ready.url.startswith("https://"), ready.failed, bool(ready.recording_id)) == (True, "", True)
    assert evening(subject.kind).phones[ready.call_id] == PERSON


@pytest.mark.parametrize(**able("messages"))
def test_text_messages_are_told_both_ways(subject):
    [message] = evening(subject.kind).facts(IncomingMessage)
    assert (message.sender, message.recipient, message.text) == (PERSON, SENDER, "Are you open?")
    ends = [fact.status for fact in evening(subject.kind).facts(MessageProgress)]
    assert sorted(ends) == ["delivered", "failed", "sent", "sent"]
    assert len({fact.message_id for fact in evening(subject.kind).facts(MessageProgress)}) == 2
    assert REFUSES_TEXTS not in str(evening(subject.kind).facts(MessageProgress))


@pytest.mark.parametrize(**CLOUDS)
def test_nothing_goes_wrong_unnoticed_in_an_ordinary_evening(subject):
    assert evening(subject.kind).facts(StreamFailed) == []
    assert {told.webhook.what for told in evening(subject.kind).told} <= subject.recipe.webhooks


@pytest.mark.parametrize(**CLOUDS)
def test_a_repeated_webhook_says_the_same(subject):
    for told in evening(subject.kind).told:
        assert subject.recipe.read_webhook(told.webhook) == told.facts


@pytest.mark.parametrize(**CLOUDS)
def test_a_malformed_webhook_is_refused_without_a_quote(subject):
    chance = random.Random(4)
    problems = []
    for told in evening(subject.kind).told:
        for body in _malformed(told.prepared.body, chance):
            try:
                subject.recipe.read_webhook(attrs.evolve(told.webhook, body=body))
            except WebhookError as error:
                problems.append(str(error))
    assert len(problems) > 100
    quoted = re.compile(r"5005550|5550100|CA0000|00000000-0000|https?://")
    assert [problem for problem in problems if quoted.search(problem)] == []
    with pytest.raises(WebhookError):
        subject.recipe.read_webhook(Webhook(what="nothing-of-the-kind", body=b"a=1"))


_NOISE = (
    b"",
    b"\xff\xfe=\x00",
    b"{}",
    b"[]",
    b'{"data":7}',
    b'{"data":{"payload":[]}}',
    b"=&=&=",
    b"[" * 5000,
    b"7" * 5000,
)


def _malformed(body: bytes, chance: random.Random) -> list[bytes]:
    """Noise, cut off, and with each of its fields in turn missing or of another kind."""
    cut = [body[: chance.randrange(len(body))] for _ in range(4)]
    if body.startswith(b"{"):
        return [*_NOISE, *cut, *(_with(body, path, odd) for path in _paths(json.loads(body)) for odd in _ODD)]
    fields = body.split(b"&")
    rest = [(fields[:at], fields[at], fields[at + 1 :]) for at in range(len(fields))]
    missing = [b"&".join([*before, *after]) for before, _, after in rest]
    empty = [b"&".join([*before, field.partition(b"=")[0] + b"=", *after]) for before, field, after in rest]
    return [*_NOISE, *cut, *missing, *empty]


_ODD = (None, 7, [], {}, "", "x" * 400)


def _with(body: bytes, path: tuple[Any, ...], value: Any) -> bytes:
    data = holder = json.loads(body)
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return json.dumps(data).encode()


def _paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for name, inner in steps for path in ((*before, name), *_paths(inner, (*before, name)))]


# --- answers ----------------------------------------------------------------------------------------------------------

STREAM = ConnectStream("wss://voice.example.com/any/media/token", {"caller": 'O\'Brien & "Sons" <x>'})
INSTRUCTIONS: list[tuple[Instruction, str]] = [
    (STREAM, "wss://voice.example.com/any/media/token"),
    (DialTarget(OTHER, SENDER, 20.0), OTHER),
    (JoinRoom("room-7"), "room-7"),
    (Refuse("We are closed & asleep."), "We are closed & asleep."),
    (ReferTo("sip:desk@example.com"), "sip:desk@example.com"),
]


def _asking(subject: Any) -> Webhook:
    """A webhook to which the answer is an instruction."""
    asked = evening(subject.kind).saying(InstructionsWanted) or evening(subject.kind).saying(TransferEnded)
    return asked[0].webhook


@pytest.mark.parametrize(**those(lambda subject: subject.can.instructed == "response"))
@pytest.mark.parametrize(("instruction", "words"), INSTRUCTIONS, ids=lambda value: type(value).__name__)
def test_an_instruction_is_in_the_answer(subject, instruction, words):
    if isinstance(instruction, ReferTo) and "refer" not in subject.can.transfers:
        with pytest.raises(NotSupported):
            subject.recipe.answer(_asking(subject), instruction, urls())
        return
    answer = subject.recipe.answer(_asking(subject), instruction, urls())
    assert (answer.status, "xml" in (answer.media_type or "")) == (200, True)
    document = ElementTree.fromstring(answer.body).iter()
    said = [text for element in document for text in (*element.attrib.values(), element.text)]
    assert words.removeprefix("+") in " ".join(text or "" for text in said)
    assert words not in repr(answer)


@pytest.mark.parametrize(**CLOUDS)
def test_only_who_asks_is_told_what_to_do(subject):
    for told in evening(subject.kind).told:
        asks = subject.can.instructed == "response" and any(
            isinstance(fact, IncomingCall | InstructionsWanted | TransferEnded) for fact in told.facts
        )
        answer = subject.recipe.answer(told.webhook, STREAM, urls())
        assert 200 <= answer.status < 300
        assert ("media/token" in answer.body) == asks
        assert 200 <= subject.recipe.answer(told.webhook, None, None).status < 300
