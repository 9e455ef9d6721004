"""What differs between Twilio and the carriers that speak as Twilio does."""

from __future__ import annotations

import re

import attrs

from callengine.telephony import Capabilities, DtmfOut

WEBHOOKS = frozenset(
    {"voice", "instructions", "transfer", "status", "amd", "stream", "recording", "message", "message-status"}
)
"""What is told, and asked, in webhooks: the second parts of their routes."""


@attrs.frozen(kw_only=True)
class Dialect:
    """One carrier's ways. Source of Twilio's: https://www.twilio.com/docs/voice/api and /docs/usage/api."""

    identifier: re.Pattern[str]
    """The shape of every name that the carrier gives to something; names stand in paths."""
    api: str
    """What every path of the API begins with."""
    longest_instruction: int
    """Characters of the longest instruction that a command can carry; longer ones are fetched from the engine."""
    dtmf_out: DtmfOut
    signature_header: str
    """In lower case."""

    @property
    def capabilities(self) -> Capabilities:
        """What these carriers can do."""
        return Capabilities(
            marks=True,
            dtmf_in=True,
            dtmf_out=self.dtmf_out,
            instructed="response",
            hang_up=True,
            dial=True,
            transfers=frozenset({"cold", "warm", "refer"}),
            amd=True,
            recording=True,
            messages=True,
            numbers=True,
        )


TWILIO = Dialect(
    identifier=re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}"),
    api="/2010-04-01",
    longest_instruction=4000,
    dtmf_out="in-band",
    signature_header="x-twilio-signature",
)
"""Twilio. A SID is two capitals and 32 hexadecimal digits (https://www.twilio.com/docs/glossary/what-is-a-sid); the
``Twiml`` of a call has at most 4,000 characters (https://www.twilio.com/docs/voice/api/call-resource)."""
