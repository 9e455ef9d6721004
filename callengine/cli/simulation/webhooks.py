"""A carrier's voice webhook: what it says, how it is signed, what it answers."""

from __future__ import annotations

from urllib.parse import urlencode

import attrs
import httpx
import trio

from callengine.cli.simulation.address import Address
from callengine.cli.simulation.carriers import Dialect
from callengine.cli.simulation.documents import BadDocument, Step, read_document
from callengine.cli.simulation.signing import Signer

TIMEOUT = 15.0
"""Seconds that Twilio waits for an answer (https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides);
Plivo and SignalWire are held to it too."""
_XML = ("text/xml", "application/xml", "application/rss+xml")
_FORM = {"content-type": "application/x-www-form-urlencoded"}


@attrs.frozen(kw_only=True)
class Parties:
    """Who calls whom, and the call's name."""

    call_id: str
    caller: str
    callee: str


@attrs.frozen
class Answered:
    """What a webhook was answered, after so many seconds."""

    steps: list[Step]
    seconds: float


class Telephone:
    """Announces a call, and asks what to do next."""

    def __init__(
        self, http: httpx.AsyncClient, dialect: Dialect, address: Address, parties: Parties, signer: Signer
    ) -> None:
        self._http = http
        self._dialect = dialect
        self._address = address
        self._parties = parties
        self._signer = signer

    async def ask(self, url: str, status: str) -> Answered:
        """What to do with the call, from a URL as the server knows it. Raises `BadDocument`."""
        dialled = self._address.dialled(url)
        form = self._form(status)
        headers = _FORM | self._signer.webhook(self._address.signed(dialled), form)
        began = trio.current_time()
        try:
            with trio.fail_after(TIMEOUT):
                response = await self._http.post(dialled, content=urlencode(form), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, trio.TooSlowError) as error:
            raise BadDocument(self._failed(f"no answer to the webhook: {error or 'it took too long'}")) from error
        if response.status_code != 200:
            said = " ".join(response.text.split())[:200]
            raise BadDocument(self._failed(f"the webhook was answered {response.status_code}: {said}"))
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _XML:
            raise BadDocument(self._failed(f"the answer's content type is {kind or 'missing'}, not text/xml", "12300"))
        steps = read_document(response.text, self._dialect, url)
        return Answered(steps, trio.current_time() - began)

    def _form(self, status: str) -> list[tuple[str, str]]:
        who = self._parties
        if self._dialect.name == "plivo":
            return [
                ("CallUUID", who.call_id),
                ("From", who.caller.removeprefix("+")),
                ("To", who.callee.removeprefix("+")),
                ("Direction", "inbound"),
                ("CallStatus", status),
                ("Event", "StartApp"),
            ]
        return [
            ("CallSid", who.call_id),
            ("AccountSid", "AC" + "0" * 32),
            ("ApiVersion", "2010-04-01"),
            ("CallStatus", status),
            ("Direction", "inbound"),
            ("From", who.caller),
            ("To", who.callee),
            ("FromCity", ""),  # Twilio sends empty fields, and signs them
        ]

    def _failed(self, text: str, code: str = "11200") -> str:
        return f"{code}: {text}" if self._dialect.name == "twilio" else text
