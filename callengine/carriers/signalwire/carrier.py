"""SignalWire as a carrier: the recipe that the user configures.

Sources: https://developer.signalwire.com/compatibility-api/ (commands, webhooks), and for signatures the webhook
validation of SignalWire's own SDKs: the scheme of Twilio, keyed with the project's signing key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs
import httpx

from callengine.carriers.keys import FromEnvironment, empty_is_none
from callengine.carriers.rest import check_api_url
from callengine.carriers.signalwire.wire import SignalWireCodec
from callengine.carriers.twilio import signature
from callengine.carriers.twilio.answers import answer
from callengine.carriers.twilio.dialect import WEBHOOKS, Dialect
from callengine.carriers.twilio.rest import TwilioControl
from callengine.carriers.twilio.webhooks import read_webhook
from callengine.errors import ConfigurationError
from callengine.telephony import CallbackUrls, Capabilities, CarrierFact, Instruction, Webhook, WebhookAnswer

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

SIGNALWIRE = Dialect(
    identifier=_UUID,
    api="/api/laml/2010-04-01",
    longest_instruction=0,
    dtmf_out="socket",
    signature_header="x-signalwire-signature",
)
"""Its calls are made and changed with a URL alone
(https://developer.signalwire.com/compatibility-api/client-sdks/methods/calls/create), so instructions are fetched."""


def _space_url(space: str | None) -> str | None:
    """A space's address, from its name, its host or its URL."""
    space = empty_is_none(space)
    if space is None:
        return None
    if "://" not in space:
        space = f"https://{space}" if "." in space else f"https://{space}.signalwire.com"
    return check_api_url(space, "SignalWire(space=...)")


@attrs.frozen
class SignalWire:
    """The recipe: frozen configuration that every call shares; a `callengine.telephony.Carrier`.

    To take calls it needs ``signing_key``: webhooks are signed with it. To give commands it needs the ``space`` (such
    as ``example.signalwire.com``), the ``project``'s ID and an API ``token``, all from the dashboard's page "API".
    ``sender`` is the number that outgoing calls and messages show. All of them are taken from the environment when
    the recipe is made, unless given. ``tracks`` are the audio tracks that calls get (see `SignalWireCodec`).

    Media sockets are not signed: the one-time token in their URL says whose they are.
    """

    signing_key: str | None = attrs.field(
        factory=FromEnvironment("SIGNALWIRE_SIGNING_KEY"), converter=empty_is_none, repr=False
    )
    space: str | None = attrs.field(factory=FromEnvironment("SIGNALWIRE_SPACE"), converter=_space_url)
    project: str | None = attrs.field(factory=FromEnvironment("SIGNALWIRE_PROJECT_ID"), converter=empty_is_none)
    token: str | None = attrs.field(factory=FromEnvironment("SIGNALWIRE_TOKEN"), converter=empty_is_none, repr=False)
    sender: str | None = attrs.field(
        factory=FromEnvironment("SIGNALWIRE_PHONE_NUMBER"), converter=empty_is_none, repr=False
    )
    name: str = "signalwire"
    tracks: tuple[str, ...] = ("inbound",)

    @property
    def capabilities(self) -> Capabilities:
        """What SignalWire can do: what Twilio can, and keys are sent on the media socket."""
        return SIGNALWIRE.capabilities

    @property
    def webhooks(self) -> frozenset[str]:
        """The second parts of its routes' paths."""
        return WEBHOOKS

    def codec(self) -> SignalWireCodec:
        """The wire protocol for one more media stream."""
        return SignalWireCodec(tracks=self.tracks)

    def missing_configuration(self) -> str | None:
        """What has to be set before calls can be taken, and how; None where nothing is missing."""
        if self.signing_key is None:
            return "set SIGNALWIRE_SIGNING_KEY to the project's signing key, or pass SignalWire(signing_key=...)"
        return None

    def missing_for_commands(self) -> str | None:
        """What has to be set before commands can be given, and how; None where nothing is missing."""
        problems: list[str] = []
        if self.space is None:
            problems.append("set SIGNALWIRE_SPACE to the space's host, such as example.signalwire.com")
        if self.project is None or _UUID.fullmatch(self.project) is None:
            problems.append("set SIGNALWIRE_PROJECT_ID to the project's ID (a UUID)")
        if self.token is None:
            problems.append("set SIGNALWIRE_TOKEN to an API token of the project")
        return "; ".join(problems) or None

    def verify_webhook(
        self,
        method: str,
        public_url: str,
        headers: Mapping[str, str],
        body: bytes,
        now: float,  # noqa: ARG002 - SignalWire signs no time
    ) -> bool:
        """Whether SignalWire signed this request to the public URL (as SignalWire knows it)."""
        return signature.verify_webhook(
            self.signing_key or "", method, public_url, headers, body, header=SIGNALWIRE.signature_header
        )

    def verify_upgrade(self, public_url: str, headers: Mapping[str, str]) -> bool:  # noqa: ARG002 - none is signed
        """True: media sockets are not signed, so that their token alone counts."""
        return True

    def read_webhook(self, webhook: Webhook) -> tuple[CarrierFact, ...]:
        """What a webhook says. Raises `WebhookError`."""
        return read_webhook(webhook, SIGNALWIRE, self.space)

    def answer(self, webhook: Webhook, instruction: Instruction | None, urls: CallbackUrls | None) -> WebhookAnswer:
        """What a webhook is answered: cXML where it asks for instructions, else nothing."""
        return answer(webhook, instruction, urls)

    def control(self, http: httpx.AsyncClient) -> TwilioControl:
        """The commands. Raises `ConfigurationError` where something is missing."""
        missing = self.missing_for_commands()
        if self.space is None or self.project is None or self.token is None or missing is not None:
            raise ConfigurationError(f"{self.name} cannot be given commands: {missing}")
        return TwilioControl(self.name, SIGNALWIRE, self.space, self.project, (self.project, self.token), http)
