"""Messages and a signed webhook as Telnyx documents them, for the tests of its parts."""

from __future__ import annotations

import base64
import json
from typing import Any

from callengine.ports import CarrierCodec, CarrierEvent

# --- a signed webhook; its key was made for tests alone -----------------------------------------------------------

SEED = bytes.fromhex("b9d8270405aefe18c2c925cd156fcc0b81ece34c6d878830be6c014d9dc8e17b")
PUBLIC_KEY = "uGHOl+t+0R6WJfN7TXmrtPxzHYKa2HaxxZgHAPYfbS4="
AT = 1767323045
BODY = (
    b'{"data":{"event_type":"call.initiated","id":"8840fbd9-69ce-51bf-a411-180990498187",'
    b'"occurred_at":"2026-01-02T03:04:05.678901Z","payload":{"call_control_id":"v3:test","direction":"incoming",'
    b'"from":"+15005550001","state":"parked","to":"+15005550002"},"record_type":"event"},'
    b'"meta":{"attempt":1,"delivered_to":"https://voice.example.com/telnyx/events"}}'
)
SIGNATURE = "cizLD7hdxH6PN+0vka2FBX0svx3ELig5+B2DSV1jToFhUXHf+DnUTFluh6arjGI42y0eUxzAMyuBZJbD4qhNBw=="


def headers(signature: str = SIGNATURE, timestamp: str = str(AT)) -> dict[str, str]:
    return {"Telnyx-Signature-Ed25519": signature, "Telnyx-Timestamp": timestamp}


# --- media streaming ----------------------------------------------------------------------------------------------

STREAM = "ed27f188-6296-56dc-9dc9-9ebe306941f7"
CALL = "v3:m2HY959tCRHyqqhXsf64oF6H2drCcwkRt4yYrwL-VxpjYWxsZW5naW4"
AUDIO = bytes(range(160))


def start(**changes: Any) -> dict[str, Any]:
    body = {
        "user_id": "945957c5-896e-5ff9-bfd0-44a987ccd9ec",
        "call_control_id": CALL,
        "call_session_id": "3046d7fd-cc1c-5bf6-951c-9dd44ea50c28",
        "from": "+15005550001",
        "to": "+15005550002",
        "tags": [],
        "client_state": "Y2FsbC0xMjM=",
        "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
    }
    body.update(changes)
    return {"event": "start", "sequence_number": "1", "start": body, "stream_id": STREAM}


def media(audio: bytes = AUDIO, chunk: object = "1", *, track: str = "inbound", stream: str = STREAM) -> dict[str, Any]:
    body = {"track": track, "chunk": chunk, "timestamp": "40", "payload": base64.b64encode(audio).decode()}
    return {"event": "media", "sequence_number": "4", "media": body, "stream_id": stream}


def wire(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def decode(codec: CarrierCodec, message: Any) -> CarrierEvent:
    return codec.decode(True, wire(message))
