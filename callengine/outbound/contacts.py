"""Whom a campaign calls: numbers in one form, each of them once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeAlias

import attrs

from callengine.errors import ConfigurationError
from callengine.programs import Program
from callengine.reach import check_target

_DECORATION = re.compile(r"\(0\)|[\s\u2010-\u2015]")
"""What spreadsheets have between digits besides plain hyphens, and the trunk prefix of ``+44 (0)20 ...``, which is not
dialled from abroad."""

Flaw: TypeAlias = Literal["invalid", "duplicate"]


@attrs.frozen
class Contact:
    """Somebody to be called.

    ``program`` is what this call runs, in place of the campaign's; ``data`` is what it may want to know of the person,
    and comes to it as `Call.parameters`.
    """

    number: str = attrs.field(repr=False)
    program: Program | None = attrs.field(default=None, repr=False)
    data: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen
class Checked:
    """A contact, as it is going to be called or not: ``flaw`` says why not. ``number`` is its number in one form."""

    contact: Contact
    number: str = attrs.field(repr=False)
    flaw: Flaw | None = None
    reason: str = ""


def normalised(number: str) -> str | None:
    """The number as carriers want it, as in ``+15005550001``; None for what is no international number.

    Spaces, hyphens, dots, slashes and brackets go; ``sip:`` addresses stay as they are.
    """
    try:
        return check_target(_DECORATION.sub("", number))
    except ConfigurationError:
        return None


def check_contacts(contacts: Iterable[Contact | str]) -> Iterator[Checked]:
    """The contacts in order, with what is wrong with each: a number that cannot be called, or that came before."""
    seen: dict[str, int] = {}
    for place, entry in enumerate(contacts, 1):
        contact = Contact(entry) if isinstance(entry, str) else entry
        number = normalised(contact.number)
        if number is None:
            reason = "not an international number: write it like +15005550001"
            yield Checked(contact, contact.number, "invalid", reason)
        elif number in seen:
            yield Checked(contact, number, "duplicate", f"the same number as contact {seen[number]}")
        else:
            seen[number] = place
            yield Checked(contact, number)
