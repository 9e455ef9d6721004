"""Plivo as a carrier: what an engine needs to know to take its calls and to give it commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs
import httpx

from callengine.carriers.keys import FromEnvironment, empty_is_none
from callengine.carriers.plivo import signature, webhooks, xml
from callengine.carriers.plivo.rest import Account, PlivoControl
from callengine.carriers.plivo.wire import CONTENT_TYPES, PlivoCodec
from callengine.carriers.rest import check_api_url
from callengine.errors import ConfigurationError
from callengine.telephony import (
    CallbackUrls,
    Capabilities,
    CarrierFact,
    Instruction,
    Webhook,
    WebhookAnswer,
)

ID_VARIABLE = "PLIVO_AUTH_ID"
TOKEN_VARIABLE = "PLIVO_AUTH_TOKEN"
SENDER_VARIABLE = "PLIVO_PHONE_NUMBER"

_CAPABILITIES = Capabilities(
    dtmf_out="socket",
    hang_up=True,
    dial=True,
    transfers=frozenset({"cold", "warm"}),
    amd=True,
    recording=True,
    messages=True,
    numbers=True,
)
_INSTRUCTED = frozenset({"voice", "instructions", "transfer"})
"""Webhooks whose answer says what the leg does."""
_MESSAGES = frozenset({"message", "message-status"})

ContentType: TypeAlias = Literal["audio/x-mulaw;rate=8000", "audio/x-l16;rate=8000", "audio/x-l16;rate=16000"]


def _api_url(url: str) -> str:
    return check_api_url(url, "Plivo(api_url=...)")


@attrs.frozen
class Plivo:
    """The recipe: frozen configuration that every call shares; a `callengine.telephony.Carrier`.

    ``auth_id`` and ``auth_token`` are those of the account (Plivo console, "Overview"), ``sender`` is the number that
    outgoing calls and messages show unless they name one; by default all three are the environment's when the recipe
    is made. Without a token nothing verifies, without both nothing can be commanded.

    ``content_type`` is the audio of media streams. ``machine_detection_time`` are the seconds that Plivo may take to
    tell a machine from a person (2 to 10; its own default is 5). ``messages_v2`` takes the older signature for text
    messages, which is the one that Plivo documents for them: it does not cover the message's text, so that who ever has
    seen one such request can make others. ``private_recordings`` says that the account asks for authentication where
    recordings are fetched (console, "Voice", "Other Settings").
    """

    auth_id: str | None = attrs.field(factory=FromEnvironment(ID_VARIABLE), converter=empty_is_none)
    auth_token: str | None = attrs.field(factory=FromEnvironment(TOKEN_VARIABLE), converter=empty_is_none, repr=False)
    sender: str | None = attrs.field(factory=FromEnvironment(SENDER_VARIABLE), converter=empty_is_none, repr=False)
    api_url: str = attrs.field(default="https://api.plivo.com", converter=_api_url)
    content_type: ContentType = "audio/x-mulaw;rate=8000"
    name: str = "plivo"
    machine_detection_time: float = attrs.field(default=5.0, kw_only=True)
    messages_v2: bool = attrs.field(default=True, kw_only=True)
    private_recordings: bool = attrs.field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.content_type not in CONTENT_TYPES:
            raise ConfigurationError(
                f"Plivo(content_type={self.content_type!r}): choose one of {', '.join(CONTENT_TYPES)}"
            )
        if not 2 <= self.machine_detection_time <= 10:
            raise ConfigurationError(
                f"Plivo(machine_detection_time={self.machine_detection_time!r}): Plivo takes 2 to 10 seconds"
            )

    @property
    def capabilities(self) -> Capabilities:
        """What Plivo can do: everything but SIP REFER."""
        return attrs.evolve(_CAPABILITIES, audio=CONTENT_TYPES[self.content_type])

    @property
    def webhooks(self) -> frozenset[str]:
        """The second parts of its routes' paths."""
        return webhooks.WHATS

    def codec(self) -> PlivoCodec:
        """The wire protocol for one more media stream."""
        return PlivoCodec(CONTENT_TYPES[self.content_type])

    def missing_configuration(self) -> str | None:
        """What has to be set before calls can be taken, and how; None where nothing is missing."""
        if self.auth_token is None:
            return f"set {TOKEN_VARIABLE} to the account's auth token, or pass Plivo(auth_token=...)"
        return None

    def missing_for_commands(self) -> str | None:
        """What has to be set before commands can be given, and how; None where nothing is missing."""
        if self.auth_id is None:
            return f"set {ID_VARIABLE} to the account's auth id, or pass Plivo(auth_id=...)"
        if not webhooks.is_id(self.auth_id):
            return f"correct {ID_VARIABLE}: an auth id has letters and digits only"
        return self.missing_configuration()

    def verify_webhook(self, method: str, public_url: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
        """Whether Plivo signed this request to the public URL. It signs no time, so ``now`` does not matter."""
        del now
        token = self.auth_token or ""
        if signature.verify_webhook(token, method, public_url, headers, body):
            return True
        if not (self.messages_v2 and _what(public_url, self.name) in _MESSAGES):
            return False
        return signature.verify_webhook(token, method, public_url, headers, body, version="v2")

    def verify_upgrade(self, public_url: str, headers: Mapping[str, str]) -> bool:
        """True: Plivo documents no signature of upgrades, so the one-time token in the URL says who it is."""
        del public_url, headers
        return True

    def read_webhook(self, webhook: Webhook) -> tuple[CarrierFact, ...]:
        """What a webhook says. Raises `WebhookError` for what is malformed, without quoting it."""
        return webhooks.read(webhook)

    def answer(self, webhook: Webhook, instruction: Instruction | None, urls: CallbackUrls | None) -> WebhookAnswer:
        """What a webhook is answered: XML where it asked for instructions (without any, the leg ends)."""
        if webhook.what in _INSTRUCTED:
            answered = webhook.what != "voice"
            document = xml.instructions(instruction, urls, content_type=self.content_type, answered=answered)
        else:  # an incoming message is answered with XML too; the other callbacks do not look
            document = xml.EMPTY
        return WebhookAnswer(200, document, "application/xml")

    def control(self, http: httpx.AsyncClient) -> PlivoControl:
        """The commands, over this `httpx.AsyncClient`. Raises `ConfigurationError` where something is missing."""
        if (missing := self.missing_for_commands()) is not None:
            raise ConfigurationError(f"Plivo cannot be given commands: {missing}")
        account = Account(
            name=self.name,
            auth_id=self.auth_id or "",
            auth_token=self.auth_token or "",
            api_url=self.api_url,
            machine_detection_time=self.machine_detection_time,
            private_recordings=self.private_recordings,
        )
        return PlivoControl(account, http)


def _what(url: str, name: str) -> str:
    """What a webhook's URL is about: the part behind the carrier's name, at the end or before a reference."""
    *_, first, second, third = ["", "", *url.partition("?")[0].split("/")]
    if second == name:
        return third
    return second if first == name else ""
