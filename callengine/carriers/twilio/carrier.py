"""Twilio as a carrier: the recipe that the user configures."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs
import httpx

from callengine.carriers.keys import FromEnvironment, empty_is_none
from callengine.carriers.rest import check_api_url
from callengine.carriers.twilio import signature
from callengine.carriers.twilio.answers import answer
from callengine.carriers.twilio.dialect import TWILIO, WEBHOOKS
from callengine.carriers.twilio.rest import TwilioControl
from callengine.carriers.twilio.webhooks import read_webhook
from callengine.carriers.twilio.wire import TwilioCodec
from callengine.errors import ConfigurationError
from callengine.telephony import CallbackUrls, Capabilities, CarrierFact, Instruction, Webhook, WebhookAnswer

AUTH_TOKEN_VARIABLE = "TWILIO_AUTH_TOKEN"
API_URL = "https://api.twilio.com"
"""Twilio's first region, US1. Others: https://www.twilio.com/docs/global-infrastructure/using-the-twilio-rest-api-in-a-non-us-region."""

_ACCOUNT = re.compile(r"AC[0-9a-fA-F]{32}")


def _api_url(url: str) -> str:
    return check_api_url(url, "Twilio(api_url=...)")


@attrs.frozen
class Twilio:
    """The recipe: frozen configuration that every call shares; a `callengine.telephony.Carrier`.

    To take calls it needs ``auth_token``, the account's primary auth token (Twilio console, "Account info"): webhooks
    are signed with it. To give commands it needs ``account_sid`` too, and may use ``api_key`` (``SK...``) and
    ``api_secret`` in place of the auth token. ``sender`` is the number that outgoing calls and messages show.
    All of them are taken from the environment when the recipe is made, unless given.

    ``api_url`` is another region's API; ``tracks`` are the audio tracks that calls get (see `TwilioCodec`).
    """

    auth_token: str | None = attrs.field(
        factory=FromEnvironment(AUTH_TOKEN_VARIABLE), converter=empty_is_none, repr=False
    )
    account_sid: str | None = attrs.field(factory=FromEnvironment("TWILIO_ACCOUNT_SID"), converter=empty_is_none)
    api_key: str | None = attrs.field(factory=FromEnvironment("TWILIO_API_KEY"), converter=empty_is_none, repr=False)
    api_secret: str | None = attrs.field(
        factory=FromEnvironment("TWILIO_API_SECRET"), converter=empty_is_none, repr=False
    )
    sender: str | None = attrs.field(
        factory=FromEnvironment("TWILIO_PHONE_NUMBER"), converter=empty_is_none, repr=False
    )
    api_url: str = attrs.field(default=API_URL, converter=_api_url)
    name: str = "twilio"
    tracks: tuple[str, ...] = ("inbound",)

    @property
    def capabilities(self) -> Capabilities:
        """What Twilio can do. Keys are sent as tones in the audio: its media streams have no message for them."""
        return TWILIO.capabilities

    @property
    def webhooks(self) -> frozenset[str]:
        """The second parts of its routes' paths."""
        return WEBHOOKS

    def codec(self) -> TwilioCodec:
        """The wire protocol for one more media stream."""
        return TwilioCodec(tracks=self.tracks)

    def missing_configuration(self) -> str | None:
        """What has to be set before calls can be taken, and how; None where nothing is missing."""
        if self.auth_token is None:
            return f"set {AUTH_TOKEN_VARIABLE} to the account's auth token, or pass Twilio(auth_token=...)"
        return None

    def missing_for_commands(self) -> str | None:
        """What has to be set before commands can be given, and how; None where nothing is missing."""
        problems: list[str] = []
        if self.account_sid is None or _ACCOUNT.fullmatch(self.account_sid) is None:
            problems.append("set TWILIO_ACCOUNT_SID to the account's SID (AC and 32 hexadecimal digits)")
        if (self.api_key is None) != (self.api_secret is None):
            problems.append("set both TWILIO_API_KEY and TWILIO_API_SECRET, or neither")
        elif self.auth_token is None and self.api_key is None:
            problems.append(f"set {AUTH_TOKEN_VARIABLE}, or TWILIO_API_KEY and TWILIO_API_SECRET")
        return "; ".join(problems) or None

    def verify_webhook(
        self,
        method: str,
        public_url: str,
        headers: Mapping[str, str],
        body: bytes,
        now: float,  # noqa: ARG002 - Twilio signs no time
    ) -> bool:
        """Whether Twilio signed this request to the public URL (scheme, host, path and query as Twilio knows them)."""
        return signature.verify_webhook(self.auth_token or "", method, public_url, headers, body)

    def verify_upgrade(self, public_url: str, headers: Mapping[str, str]) -> bool:
        """Whether Twilio signed this WebSocket upgrade of the public ``wss://`` URL."""
        return signature.verify_upgrade(self.auth_token or "", public_url, headers)

    def read_webhook(self, webhook: Webhook) -> tuple[CarrierFact, ...]:
        """What a webhook says. Raises `WebhookError`."""
        return read_webhook(webhook, TWILIO, self.api_url)

    def answer(self, webhook: Webhook, instruction: Instruction | None, urls: CallbackUrls | None) -> WebhookAnswer:
        """What a webhook is answered: TwiML where it asks for instructions, else nothing."""
        return answer(webhook, instruction, urls)

    def control(self, http: httpx.AsyncClient) -> TwilioControl:
        """The commands. Raises `ConfigurationError` where something is missing."""
        missing = self.missing_for_commands()
        if missing is not None or self.account_sid is None:
            raise ConfigurationError(f"{self.name} cannot be given commands: {missing}")
        user, password = (self.api_key, self.api_secret) if self.api_key else (self.account_sid, self.auth_token)
        return TwilioControl(self.name, TWILIO, self.api_url, self.account_sid, (user or "", password or ""), http)
