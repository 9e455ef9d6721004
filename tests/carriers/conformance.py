"""What the conformance suite runs against, and what it has to know of each carrier. A new carrier is one line here.

Everything else comes from the carrier itself (`Capabilities`), and from its simulator: the account
(`callengine.testing.accounts`), its end of a media stream (`callengine.testing.side`), and the network behind it
(`callengine.testing.clouds`).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs
import httpx
import trio

from callengine import Agent
from callengine.telephony import (
    CallbackUrls,
    Capabilities,
    Carrier,
    CarrierControl,
    CarrierFact,
    ConnectStream,
    DialTarget,
    JoinRoom,
    NewLeg,
    NewMessage,
    PhoneNumber,
    ReferTo,
    SelfServing,
    Webhook,
)
from callengine.testing import CallLab
from callengine.testing.accounts import SENDER, recipe
from callengine.testing.clouds import Answers, Busy, Cloud, Declines, Machine, RingsOut, Unreachable
from callengine.testing.clouds.deliveries import Prepared
from callengine.testing.clouds.phones import Phone
from callengine.testing.side import side_of
from callengine.testing.virtual import run_virtual


@attrs.frozen(kw_only=True)
class Subject:
    """A carrier in the suite."""

    kind: str
    secrets: tuple[str, ...] = ()
    """The recipe's settings that open something: they are shown nowhere. The first is what commands are given with."""
    verifies_with: str = ""
    """The setting without which no webhook verifies, and no call is taken."""
    commands_with: str = ""
    """The setting without which no command can be given."""
    other_key: str = "another key, of somebody else"
    """A value of ``verifies_with`` that is well-formed, and not the account's."""
    loose: tuple[str, ...] = ()
    """Webhooks whose body the carrier does not sign."""
    cloud: bool = True
    """Whether there is a network behind it. Without one it has neither webhooks nor commands."""

    @property
    def recipe(self) -> Carrier:
        """With the lab's account."""
        return recipe(self.kind)

    @property
    def can(self) -> Capabilities:
        return self.recipe.capabilities

    @property
    def secret_values(self) -> list[str]:
        return [getattr(self.recipe, name) for name in self.secrets]


OF_RFC_8032 = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
"""The public key of the first test in RFC 8032, section 7.1."""

SUBJECTS = (
    Subject(kind="twilio", secrets=("auth_token",), verifies_with="auth_token", commands_with="account_sid"),
    Subject(kind="signalwire", secrets=("token", "signing_key"), verifies_with="signing_key", commands_with="token"),
    Subject(
        kind="telnyx",
        secrets=("api_key",),
        verifies_with="public_key",
        commands_with="api_key",
        other_key=OF_RFC_8032,
    ),
    Subject(
        kind="plivo",
        secrets=("auth_token",),
        verifies_with="auth_token",
        commands_with="auth_id",
        loose=("message", "message-status"),
    ),
    Subject(kind="audiosocket", cloud=False),
)


def those(able: Callable[[Subject], bool] = lambda _: True) -> dict[str, Any]:
    """Arguments of ``pytest.mark.parametrize``: the carriers of which this holds."""
    chosen = [subject for subject in SUBJECTS if able(subject)]
    return {"argnames": "subject", "argvalues": chosen, "ids": [subject.kind for subject in chosen]}


EVERY = those()
CLOUDS = those(lambda subject: subject.cloud)
WEB_SOCKETS = those(lambda subject: not isinstance(subject.recipe, SelfServing))


def able(capability: str) -> dict[str, Any]:
    """The carriers that can do this."""
    return those(lambda subject: bool(getattr(subject.can, capability)))


# --- every command ----------------------------------------------------------------------------------------------------

PERSON, OTHER = "+15005550101", "+15005550102"
BASE = "https://voice.example.com"


@attrs.frozen
class Command:
    """One method of `CarrierControl`, given to a leg, another leg, and a recording."""

    name: str
    able: Callable[[Capabilities], bool]
    give: Callable[[CarrierControl, str, str, str], Awaitable[Any]]


def urls(kind: str = "any") -> CallbackUrls:
    """Where the carrier would call back."""
    return CallbackUrls(f"{BASE}/{kind}", "reference")


def new_leg(to: str = PERSON) -> NewLeg:
    """A call to be made."""
    return NewLeg(to=to, sender=SENDER, stream=ConnectStream("wss://voice.example.com/any/media/token"), urls=urls())


async def _point(control: CarrierControl) -> None:
    await control.point_number(PhoneNumber(number=SENDER, number_id=await _id_of(control)), f"{BASE}/any")


async def _id_of(control: CarrierControl) -> str:
    numbers = await control.numbers()
    return next((entry.number_id for entry in numbers if entry.number == SENDER), "0")


def _message() -> NewMessage:
    return NewMessage(to=PERSON, sender=SENDER, text="Your table is ready.", urls=urls())


COMMANDS = (
    Command("dial", lambda can: can.dial, lambda control, *_: control.dial(new_leg())),
    Command("record", lambda can: can.recording, lambda control, leg, *_: control.start_recording(leg, urls())),
    Command(
        "stop recording",
        lambda can: can.recording,
        lambda control, leg, _, recording: control.stop_recording(leg, recording),
    ),
    Command("send a message", lambda can: can.messages, lambda control, *_: control.send_message(_message())),
    Command("list numbers", lambda can: can.numbers, lambda control, *_: control.numbers()),
    Command("point a number", lambda can: can.numbers, lambda control, *_: _point(control)),
    Command(
        "press keys", lambda can: can.dtmf_out == "command", lambda control, leg, *_: control.send_dtmf(leg, "12#")
    ),
    Command(
        "refer",
        lambda can: "refer" in can.transfers,
        lambda control, leg, *_: control.instruct(leg, ReferTo("sip:desk@example.com"), urls()),
    ),
    Command(
        "transfer",
        lambda can: "cold" in can.transfers,
        lambda control, leg, *_: control.instruct(leg, DialTarget(OTHER, SENDER), urls()),
    ),
    Command(
        "join",
        lambda can: "warm" in can.transfers,
        lambda control, leg, other, _: control.join(leg, other, JoinRoom("room"), urls()),
    ),
    Command("hang up", lambda can: can.hang_up, lambda control, leg, *_: control.hang_up(leg)),
)


def commands(*, possible: bool) -> dict[str, Any]:
    """Arguments of ``pytest.mark.parametrize``: the carriers, each with the commands that it has, or has not."""
    pairs = [
        (subject, command)
        for subject in SUBJECTS
        for command in COMMANDS
        if command.able(subject.can) == possible
        and (possible or command.name != "press keys" or subject.can.dtmf_out == "in-band")  # else it may have both
    ]
    ids = [f"{subject.kind}-{command.name}" for subject, command in pairs]
    return {"argnames": ("subject", "command"), "argvalues": pairs, "ids": ids}


def names(kind: str) -> tuple[str, str, str]:
    """Well-formed names of two legs and a recording that there are not."""
    cls = side_of(kind)
    leg, other = cls.ids(1)[0], cls.ids(2)[0]
    return leg, other, leg


def control_of(carrier: Carrier, cloud: Cloud) -> CarrierControl:
    """The carrier's commands, given to a simulated network."""
    return carrier.control(httpx.AsyncClient(transport=httpx.ASGITransport(app=cloud.app)))


FAST: dict[str, Any] = {"dials_per_second": math.inf}
HELLO = Agent(greeting="Hello there.")
DESK = Agent(may_reach=(OTHER,))


# --- everything that a carrier tells ----------------------------------------------------------------------------------

PHONES: dict[str, tuple[Phone, set[str]]] = {
    "+15005550110": (Answers(), {"completed"}),
    "+15005550111": (Busy(), {"busy"}),
    "+15005550112": (Declines(), {"busy", "failed"}),
    "+15005550113": (RingsOut(), {"no answer"}),
    "+15005550114": (Unreachable(), {"failed"}),
    "+15005550115": (Machine(greeting="We are out."), {"completed"}),
}
"""Telephones, and how a call to each ends in a carrier's words."""
ANSWERED, BUSY, MACHINE = "+15005550110", "+15005550111", "+15005550115"
REFUSES_TEXTS = "+15005550120"


@attrs.frozen
class Told:
    """A webhook that a carrier sent, when that was, and what it says."""

    prepared: Prepared
    now: float
    """Unix time."""
    webhook: Webhook
    facts: tuple[CarrierFact, ...]


@attrs.frozen
class Evening:
    """What a carrier told in the course of an evening: a caller who was recorded, transferred to a busy line and taken
    back, a call to each of `PHONES`, a text message each way, and one that could not be delivered."""

    told: tuple[Told, ...]
    phones: dict[str, str]
    """Legs' names, and the telephone of each."""

    def facts(self, kind: type[Any]) -> list[Any]:
        """All of one kind, in order."""
        return [fact for each in self.told for fact in each.facts if isinstance(fact, kind)]

    def saying(self, kind: type[Any]) -> list[Told]:
        """The webhooks that say one of these."""
        return [each for each in self.told if any(isinstance(fact, kind) for fact in each.facts)]


@cache
def evening(kind: str) -> Evening:
    """Spend it, once for all tests."""
    spent: Evening = run_virtual(_spend, kind)
    return spent


async def _spend(kind: str) -> Evening:
    lab, told = CallLab(carrier=kind), dict[tuple[str, bytes], Told]()
    options: dict[str, Any] = {"agent": Agent(may_reach=(BUSY,), aec="off"), "dials_per_second": math.inf}
    async with lab.network(_program, **options) as network:
        cloud, carrier = network.cloud, network.engine.carriers[kind]
        prepare = cloud.prepare

        def note(*args: Any) -> Prepared:
            prepared = prepare(*args)
            webhook = webhook_of(prepared)
            facts = carrier.read_webhook(webhook)
            told[prepared.url, prepared.body] = Told(prepared, cloud.unix_time(), webhook, facts)
            return prepared

        cloud.prepare = note  # type: ignore[method-assign]
        for number, (phone, _) in PHONES.items():
            network.phone(number, phone)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_call_everybody, network)
            nursery.start_soon(_be_called, network)
            nursery.start_soon(_write, network, kind)
        await trio.sleep(5)
    return Evening(tuple(told.values()), {leg.call_id: leg.phone for leg in cloud.legs})


async def _program(call: Any) -> None:
    while call.direction == "outbound" or call.came_back:
        await call.listen()
    recording = await call.start_recording()
    await call.say("Hello.")
    await call.stop_recording(recording)
    await call.transfer(BUSY)


async def _call_everybody(network: Any) -> None:
    calls = [await network.engine.dial(number, ring_timeout=10, amd=number == MACHINE) for number in PHONES]
    person = await network.answered(ANSWERED)
    await person.waits(2)
    await person.hangs_up()
    for call in calls:
        await call.wait()


async def _be_called(network: Any) -> None:
    caller = network.rings(caller=PERSON)
    await caller.hears("Hello.")
    await caller.waits(8)
    await caller.hangs_up()


async def _write(network: Any, kind: str) -> None:
    network.text("Are you open?", sender=PERSON)
    fails = network.cloud.text_fails
    fails.add(REFUSES_TEXTS) if isinstance(fails, set) else fails.update({REFUSES_TEXTS: "30003"})
    for number in (PERSON, REFUSES_TEXTS):
        await network.engine.send_message(number, "Your table is ready.", carrier=kind)


def webhook_of(prepared: Prepared) -> Webhook:
    """The webhook as the engine's server takes it apart."""
    parts = urlsplit(prepared.url)
    _, _, what, *reference = parts.path.split("/")
    return Webhook(
        what=what,
        reference=unquote(reference[0]) if reference else None,
        method=prepared.method,
        query=parts.query.encode(),
        headers=prepared.headers,
        body=prepared.body,
    )
