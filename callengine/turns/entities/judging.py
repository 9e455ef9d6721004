"""The one question about an expected entity: how far is it?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from callengine.turns.entities.dates import date, time
from callengine.turns.entities.kinds import NOTHING, EntityKind, Expectation, Progress, complete, partial
from callengine.turns.entities.mail import email
from callengine.turns.entities.names import address, name, spelling
from callengine.turns.entities.numbers import card, number, phone
from callengine.turns.phrases import Phrases, normal
from callengine.turns.unfinished import open_end

_JUDGES: Mapping[EntityKind, Callable[[str, int | None, Phrases], Progress]] = {
    "phone": phone,
    "card": card,
    "number": number,
    "email": email,
    "date": date,
    "time": time,
    "name": name,
    "spelling": spelling,
    "address": address,
}
_DIGITS = frozenset({"phone", "card", "number"})
_DONE = tuple(
    f" {done}"
    for done in (
        *("that's it", "that is it", "that's all", "that is all", "that's everything", "that's the number"),
        *("that's my number", "that's the lot", "full stop", "das war's", "das war es", "das ist alles", "eso es todo"),
        *("c'est tout", "è tutto", "dat is alles", "é tudo", "é só isso"),
    )
)


def progress(text: str, expectation: Expectation, phrases: Phrases) -> Progress:
    """How far the expected entity is in ``text``, all that the caller has said of this turn.

    With ``none`` the text says something else ("I don't have one"): then the usual rules of the end of a turn apply.
    """
    words = normal(text)
    if not words:
        return NOTHING
    found = _JUDGES[expectation.kind](text, expectation.length, phrases)
    if found.state == "partial" and f" {words}".endswith(_DONE):
        return complete("the caller says that this is all")
    dictated = expectation.kind in _DIGITS
    if found.state == "partial" and not dictated and text.rstrip().endswith("?"):
        return NOTHING
    if found.state == "complete":
        # a letter that is spelled is no article
        open_ = open_end(words.split(), phrases) if words[-2:-1].strip() else None
        if open_ is not None:
            return partial(f"{found.reason}, but {open_}")
        if text.rstrip().endswith(",") and not dictated:
            return partial(f"{found.reason}, but ends with a comma")
    return found
