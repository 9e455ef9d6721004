"""What differs between the carriers at the end where calls come from: addresses, and what they log of a broken stream.

Sources of the codes: Twilio's https://www.twilio.com/docs/api/errors, Telnyx's error messages on its media streaming
page (https://developers.telnyx.com/docs/voice/programmable-voice/media-streaming). Plivo and SignalWire publish none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

Trouble: TypeAlias = Literal[
    "timeout", "refused", "tls", "handshake", "broken", "framing", "binary", "unread", "query", "scheme", "address"
]
"""``timeout`` to ``handshake``: no connection; ``broken``: it vanished without a close; ``framing``: a WebSocket error;
``binary``: a binary message; ``unread``: the server does not read; ``query``, ``scheme``, ``address``: of the stream's
URL."""

_TWILIO: Mapping[Trouble, str] = {
    "timeout": "31901",
    "refused": "31902",
    "broken": "31903",
    "tls": "31910",
    "handshake": "31920",
    "query": "31920",
    "scheme": "31922",
    "address": "31923",
    "framing": "31924",
    "unread": "31930",
    "binary": "31950",
}
_TELNYX: Mapping[Trouble, str] = {"binary": "100003 malformed_frame"}
_WORDS: Mapping[Trouble, str] = {
    "timeout": "the connection timed out",
    "refused": "the connection was refused",
    "tls": "TLS failed",
    "handshake": "the WebSocket was not accepted",
    "broken": "the server vanished without closing",
    "framing": "the WebSocket protocol was broken",
    "binary": "a binary message",
    "unread": "the server does not read what the caller says",
    "query": "a stream URL with a query is not supported",
    "scheme": "a stream URL must be wss",
    "address": "a malformed stream URL",
}


@attrs.frozen(kw_only=True)
class Dialect:
    """One carrier's way."""

    name: str
    codes: Mapping[Trouble, str] = attrs.field(factory=dict)
    texts: bool = True
    """Whether all messages are texts."""
    note_of_close: str = ""
    """What it logs when the server closes the stream, which is legal."""
    query_allowed: bool = True
    """Whether a stream's URL may have a query."""

    def says(self, trouble: Trouble, detail: str = "") -> str:
        """A complaint in this carrier's terms."""
        code = self.codes.get(trouble)
        text = _WORDS[trouble] + (f" ({detail})" if detail else "")
        return text if code is None else f"{code}: {text}"


DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect(name="twilio", codes=_TWILIO, note_of_close="Twilio logs 31921 for that", query_allowed=False),
        Dialect(name="signalwire", query_allowed=False),
        Dialect(name="telnyx", codes=_TELNYX),
        Dialect(name="plivo"),
        Dialect(name="audiosocket", texts=False),
    )
}
