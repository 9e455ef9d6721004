"""What our commands leave with a leg, so that its webhooks say what they are about: Telnyx's ``client_state``.

Source: https://developers.telnyx.com/docs/voice/programmable-voice/receiving-webhooks. Telnyx gives the last
``client_state`` of a leg back with all its webhooks. It is base64 text; what an application other than an engine has
left there is none of ours.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Literal, TypeAlias, cast, get_args

import attrs

Role: TypeAlias = Literal["dialled", "target", "referred"]
"""``dialled``: a leg that the engine called. ``target``: one that a cold transfer rings. ``referred``: one that is
being handed to its own PBX."""

_MARK = "callengine"


@attrs.frozen
class LegState:
    """Why a leg was told something: its role, the engine's reference for that, and whose leg it is about."""

    role: Role
    reference: str
    call_id: str = ""
    """Of a target: the leg that shall be connected with it."""

    def encoded(self) -> str:
        return b64encode(" ".join((_MARK, self.role, self.reference, self.call_id)).encode()).decode()


def read_state(text: str) -> LegState | None:
    """What a command of ours left; None for anything else."""
    try:
        words = b64decode(text, validate=True).decode().split(" ")
    except (binascii.Error, ValueError):
        return None
    match words:
        case [mark, role, reference, call_id] if mark == _MARK and role in get_args(Role) and reference:
            return LegState(cast(Role, role), reference, call_id)
    return None
