"""What of a stranger's words may be written into a log, a journal or an error.

Numbers are masked, and nothing can begin a line of its own or change how the rest of one is shown: a log that an
attacker can write lines into proves nothing any more (CWE-117, https://cwe.mitre.org/data/definitions/117.html).
"""

from __future__ import annotations

import re

MAX_TEXT = 300
"""Characters of a free text that are kept: enough for a vendor's sentence, too few for a page of HTML."""

MASK = "•••"

_SHOWN = 4
"""Digits of a number that are shown, as on receipts: enough to tell two calls apart."""

_SHORTEST = 7
"""Digits from which on a row of them is taken for a number. E.164 numbers of whole countries begin there; the carriers'
error codes have five."""

_READ = 10_000
"""Characters of a free text that are looked at."""

_ROW = re.compile(rf"\d(?:[ ().+/-]{{0,3}}\d){{{_SHORTEST - 1},}}")
"""Digits, as people and vendors group them."""

_NAME = re.compile(r"[A-Za-z0-9_]{20,}")
"""A carrier's name for something (``CA`` and 32 hexadecimal digits, say): no number has so many letters and digits in
one piece; the longest has 15 digits (ITU-T E.164)."""


def masked(number: str) -> str:
    """A phone number as it may be written down: its last four digits.

    Of a SIP address it is those of the name before the ``@``. Of what has fewer than eight digits (a PBX's extension,
    a short code, ``anonymous``) none are shown; the text is empty only where the number is.
    """
    digits = re.sub("[^0-9]", "", number.partition("@")[0])
    if len(digits) < 2 * _SHOWN:
        return MASK if number else ""
    return MASK + digits[-_SHOWN:]


def printable(text: str) -> str:
    """The same, in one line: a space for each character that is not printable (controls, line and paragraph
    separators, marks of direction, halves of surrogate pairs)."""
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def scrub(text: str, limit: int = MAX_TEXT) -> str:
    """A stranger's words (a vendor's error message, say) as they may be written down: one line, numbers masked.

    Characters that are not `printable` become spaces, rows of spaces one. More than ``limit`` characters are cut off,
    which ``…`` says.
    """
    parts: list[str] = []
    end = 0
    joined = " ".join(printable(text[:_READ]).split())
    for name in _NAME.finditer(joined):
        if not name[0].isdecimal():
            parts += (_mask_rows(joined[end : name.start()]), name[0])
            end = name.end()
    line = "".join(parts) + _mask_rows(joined[end:])
    return line if len(line) <= limit else f"{line[: max(limit - 1, 0)]}…"


def _mask_rows(text: str) -> str:
    return _ROW.sub(lambda row: MASK + re.sub(r"\D", "", row[0])[-_SHOWN:], text)
