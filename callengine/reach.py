"""Whom an agent's calls may reach: an allow-list that is empty unless somebody fills it.

What a caller says can talk a model into calling a number that costs money; so whoever may be called, transferred to or
written to is named beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from callengine.errors import ConfigurationError, NotAllowed

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
"""E.164 (ITU-T E.164): up to fifteen digits, the first of which is not 0."""
_SIP = re.compile(r"sips?:[A-Za-z0-9.!#$%&'*+/=?^_`{|}~\-]{1,64}@[A-Za-z0-9.\-]{1,253}(:[0-9]{1,5})?")
_SEPARATORS = str.maketrans("", "", " -.()/")


def check_target(target: str) -> str:
    """The number in E.164 without separators, or the SIP address. Raises `ConfigurationError` for anything else."""
    plain = target.strip()
    if _SIP.fullmatch(plain):
        return plain
    plain = plain.translate(_SEPARATORS)
    if not _NUMBER.fullmatch(plain):
        raise ConfigurationError("a number must be in E.164, as in +12025550123, or an address as in sip:name@host")
    return plain


def check_entry(entry: str) -> str:
    """An entry of an allow-list: a number, a SIP address, or the beginning of one with ``*`` behind it.

    ``sip:*@pbx.example.com`` is every name at that host. Raises `ConfigurationError`.
    """
    if entry.startswith(("sip:*@", "sips:*@")) or (entry.startswith("+") and entry.endswith("*") and len(entry) > 2):
        return entry
    return check_target(entry)


def check_entries(entries: Iterable[str]) -> tuple[str, ...]:
    """All of them."""
    if isinstance(entries, str):
        raise ConfigurationError(f"give a list of numbers, as in ({entries!r},)")
    return tuple(check_entry(entry) for entry in entries)


def check_allowed(target: str, allowed: Iterable[str]) -> str:
    """The target, checked; raises `NotAllowed` where no entry has it."""
    plain = check_target(target)
    for entry in allowed:
        scheme, star, host = entry.partition("*@")
        if star and plain.startswith(scheme) and plain.rpartition("@")[2] == host:
            return plain
        if plain == entry or (entry.startswith("+") and entry.endswith("*") and plain.startswith(entry[:-1])):
            return plain
    raise NotAllowed(
        "this number may not be reached from a call: name it in the agent's list, "
        "Agent(may_reach=('+12025550123', '+4930*', 'sip:*@pbx.example.com'))"
    )
