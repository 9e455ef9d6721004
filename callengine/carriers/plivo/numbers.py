"""Telephone numbers as Plivo writes them: E.164 without the plus sign (it takes them either way)."""

from __future__ import annotations

import re

_BARE = re.compile(r"[1-9][0-9]{7,14}")


def e164(text: str) -> str:
    """A number of 8 to 15 digits with its plus sign; anything else (``anonymous``, ``sip:``, a short code) as it is."""
    return f"+{text}" if _BARE.fullmatch(text) else text


def bare(number: str) -> str:
    """A number without its plus sign; anything else as it is."""
    digits = number.removeprefix("+")
    return digits if digits.isascii() and digits.isdecimal() else number
