"""Twilio's messages: our codec against the plain way, and against base64 alone."""

from __future__ import annotations

import base64
import json
from binascii import a2b_base64, b2a_base64

from benchmarks.micro.timing import Row, each
from callengine.carriers.twilio.wire import TwilioCodec
from callengine.testing.playout import PlayoutQueue
from callengine.testing.twilio import TwilioSide

AUDIO = bytes(range(160))
SLICE = bytes(800)


def codec() -> list[Row]:
    """Microseconds a message."""
    side = TwilioSide("CA" + "0" * 32, "MZ" + "0" * 32, PlayoutQueue(), {})
    ours = TwilioCodec()
    for message in side.opening():
        ours.decode(True, message)
    [frame] = side.media(AUDIO)
    payload = base64.b64encode(AUDIO)
    out = {"event": "media", "streamSid": "MZ" + "0" * 32}

    def plain_in() -> bytes:
        return base64.b64decode(json.loads(frame)["media"]["payload"])

    def plain_out() -> str:
        return json.dumps({**out, "media": {"payload": base64.b64encode(SLICE).decode()}})

    decode, encode = each(lambda: ours.decode(True, frame)), each(lambda: ours.media(SLICE))
    return [
        Row("decode a media message, 160 samples", decode, "us", "a2b_base64 alone", each(lambda: a2b_base64(payload))),
        Row("decode a media message, 160 samples", decode, "us", "json + base64", each(plain_in)),
        Row("encode a media message, 800 samples", encode, "us", "b2a_base64 alone", each(lambda: b2a_base64(SLICE))),
        Row("encode a media message, 800 samples", encode, "us", "json + base64", each(plain_out)),
    ]
