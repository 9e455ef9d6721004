"""Telnyx as a carrier: what an engine needs to know to take and make its calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import attrs

from callengine.carriers.keys import FromEnvironment, empty_is_none
from callengine.carriers.rest import Rest, check_api_url
from callengine.carriers.telnyx import signature
from callengine.carriers.telnyx.audio import FORMATS, ByteOrder, Codec
from callengine.carriers.telnyx.problems import read_problem
from callengine.carriers.telnyx.rest import ControlSettings, Detection, TargetLegs, TelnyxControl
from callengine.carriers.telnyx.webhooks import EVENTS, TRANSFER, read_webhook
from callengine.carriers.telnyx.wire import TelnyxCodec
from callengine.errors import ConfigurationError
from callengine.telephony import (
    CallbackUrls,
    Capabilities,
    CarrierFact,
    Instruction,
    Webhook,
    WebhookAnswer,
)

API_KEY_VARIABLE = "TELNYX_API_KEY"
PUBLIC_KEY_VARIABLE = "TELNYX_PUBLIC_KEY"
CONNECTION_VARIABLE = "TELNYX_CONNECTION_ID"
NUMBER_VARIABLE = "TELNYX_PHONE_NUMBER"
API_URL = "https://api.telnyx.com/v2"

CAPABILITIES = Capabilities(
    marks=True,
    dtmf_in=True,
    dtmf_out="command",
    instructed="command",
    hang_up=True,
    dial=True,
    transfers=frozenset({"cold", "warm", "refer"}),
    amd=True,
    recording=True,
    messages=True,
    numbers=True,
)


def _api_url(url: str) -> str:
    return check_api_url(url, "Telnyx(api_url=...)")


def _one_of(alias: Any) -> Any:
    """A validator: one of the literal's values."""
    choices = get_args(alias)

    def check(_: Any, attribute: Any, value: Any) -> None:
        if value not in choices:
            raise ConfigurationError(f"{attribute.name}={value!r}: choose one of {', '.join(choices)}")

    return check


def _not_negative(_: Any, attribute: Any, value: float) -> None:
    if not 0 <= value < float("inf"):
        raise ConfigurationError(f"{attribute.name}={value!r} must be 0 or more seconds")


@attrs.frozen
class Telnyx:
    """The recipe: frozen configuration that every call shares. Numbers need a Call Control application ("Voice API
    application" in the portal), whose webhook URL is ``https://.../telnyx/events``.

    ``api_key`` and ``public_key`` stand in the portal under "Keys & Credentials"; without a public key no webhook
    verifies, and without an API key no call can be answered, because Telnyx is answered by a command. ``connection_id``
    is the application's id, which outgoing calls need; ``sender`` the number that they show; ``messaging_profile_id``
    what messages are sent by. All but the last have environment variables: ``TELNYX_API_KEY``, ``TELNYX_PUBLIC_KEY``,
    ``TELNYX_CONNECTION_ID``, ``TELNYX_PHONE_NUMBER``.

    ``stream_codec`` is that of both directions of a stream: ``PCMU`` (as lines in North America), ``PCMA`` (elsewhere)
    or ``L16`` (16 kHz); ``l16_byte_order`` how L16 samples stand on the wire. ``target_legs`` says which leg hears the
    agent. Telnyx documents neither the byte order nor the default of the legs, so both can be set.

    ``tolerance`` and ``future_tolerance`` are the seconds that a webhook's time may lie behind and ahead of ours.
    ``detection`` is the kind of machine detection: ``premium`` is the better one and costs more. ``voice`` and
    ``language`` are those in which Telnyx speaks to callers who are refused with words.
    """

    api_key: str | None = attrs.field(factory=FromEnvironment(API_KEY_VARIABLE), converter=empty_is_none, repr=False)
    public_key: str | None = attrs.field(factory=FromEnvironment(PUBLIC_KEY_VARIABLE), converter=empty_is_none)
    connection_id: str | None = attrs.field(factory=FromEnvironment(CONNECTION_VARIABLE), converter=empty_is_none)
    sender: str | None = attrs.field(factory=FromEnvironment(NUMBER_VARIABLE), converter=empty_is_none, repr=False)
    messaging_profile_id: str | None = attrs.field(default=None, converter=empty_is_none)
    api_url: str = attrs.field(default=API_URL, kw_only=True, converter=_api_url)
    stream_codec: Codec = attrs.field(default="PCMU", kw_only=True, validator=_one_of(Codec))
    target_legs: TargetLegs = attrs.field(default="self", kw_only=True, validator=_one_of(TargetLegs))
    l16_byte_order: ByteOrder = attrs.field(default="big", kw_only=True, validator=_one_of(ByteOrder))
    tolerance: float = attrs.field(default=signature.TOLERANCE, kw_only=True, validator=_not_negative)
    future_tolerance: float = attrs.field(default=signature.FUTURE_TOLERANCE, kw_only=True, validator=_not_negative)
    detection: Detection = attrs.field(default="premium", kw_only=True, validator=_one_of(Detection))
    voice: str = attrs.field(default="female", kw_only=True)
    language: str = attrs.field(default="en-US", kw_only=True)
    name: str = attrs.field(default="telnyx", kw_only=True)
    _key: bytes | None = attrs.field(init=False, repr=False, eq=False)

    @_key.default
    def _read_key(self) -> bytes | None:
        return None if self.public_key is None else signature.read_public_key(self.public_key)

    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(CAPABILITIES, audio=FORMATS[self.stream_codec])

    @property
    def webhooks(self) -> frozenset[str]:
        """``events`` is told everything; ``transfer`` what becomes of a cold transfer."""
        return frozenset({EVENTS, TRANSFER})

    def codec(self) -> TelnyxCodec:
        """The wire protocol for one more media stream."""
        return TelnyxCodec(codec=self.stream_codec, byte_order=self.l16_byte_order)

    def missing_configuration(self) -> str | None:
        """What has to be set before calls can be taken, and how; None where nothing is missing."""
        if self.public_key is None:
            return f"set {PUBLIC_KEY_VARIABLE} to the account's public key, or pass Telnyx(public_key=...)"
        return self.missing_for_commands()

    def missing_for_commands(self) -> str | None:
        """What has to be set before commands can be given, and how; None where nothing is missing.

        Outgoing calls also need ``connection_id``: `TelnyxControl.dial` says so.
        """
        if self.api_key is None:
            return f"set {API_KEY_VARIABLE} to an API key of the account, or pass Telnyx(api_key=...)"
        return None

    def verify_webhook(self, method: str, public_url: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
        """Whether Telnyx signed this body, not longer ago than ``tolerance``. It does not sign method and URL."""
        del method, public_url
        if self._key is None:
            return False
        return signature.verify(
            self._key, headers, body, now, tolerance=self.tolerance, future_tolerance=self.future_tolerance
        )

    def signed(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """What was signed of a genuine webhook; see `callengine.telephony.SignsTime`."""
        return signature.signed(headers, body)

    def verify_upgrade(self, public_url: str, headers: Mapping[str, str]) -> bool:
        """True: Telnyx documents no signature of its upgrades. The one-time token in the URL says whose it is."""
        del public_url, headers
        return True

    def read_webhook(self, webhook: Webhook) -> tuple[CarrierFact, ...]:
        """What a webhook says. Raises `WebhookError` for what is malformed, without quoting it."""
        return read_webhook(webhook)

    def answer(self, webhook: Webhook, instruction: Instruction | None, urls: CallbackUrls | None) -> WebhookAnswer:
        """That it was received, whatever it was, within Telnyx's 2 s: what is to be done, commands say."""
        del webhook, instruction, urls
        return WebhookAnswer()

    def control(self, http: Any) -> TelnyxControl:
        """The commands, over this `httpx.AsyncClient`. Raises `ConfigurationError` where something is missing."""
        missing = self.missing_for_commands()
        if missing is not None:
            raise ConfigurationError(missing)
        headers = {"authorization": f"Bearer {self.api_key}"}
        rest = Rest(self.name, http, self.api_url, read_problem=read_problem, headers=headers)
        settings = ControlSettings(
            connection_id=self.connection_id,
            messaging_profile_id=self.messaging_profile_id,
            codec=self.stream_codec,
            target_legs=self.target_legs,
            detection=self.detection,
            voice=self.voice,
            language=self.language,
        )
        return TelnyxControl(rest, settings)
