"""Whether words can be the end of a turn, by nothing but the words.

Recognisers write a full stop behind anything, so a full stop counts for nothing; a question mark they write for the
melody of what they heard, so it counts for something. What is certain here is what cannot end: "I would like to".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from callengine.turns.phrases import Phrases, consists_of, normal

_END = re.compile(r"([?!.,;:…–—-]*)[\s\"'”’)\]]*$")
_SENTENCES = re.compile(r"[.?!;:]\s+")


def unfinished(text: str, phrases: Phrases) -> str | None:
    """Why this cannot be a whole turn, in a few words for people; None if it can be one, and for an empty text."""
    words = normal(text).split()
    if not words:
        return None
    end = _END.search(text.rstrip())
    marks = end[1] if end else ""
    question = "?" in marks
    kind, last = _last_phrase(words, phrases)
    reason = _open(kind, last, words, phrases, question)
    if reason is not None or question:
        return reason
    if marks.endswith(("-", "–", "—")):
        return "breaks off"
    if marks.endswith(("...", "…", ":")):
        return "trails off"
    return None if kind == "closed" else _only_begins(text, phrases)


def doubtful(text: str, phrases: Phrases) -> str | None:
    """Why these words, which can be a whole turn, may not be one; None if nothing speaks against it."""
    words = normal(text).split()
    if text.rstrip().endswith(","):
        return "ends with a comma"
    greets = "?" not in text and consists_of(words, phrases.greetings, phrases.longest)
    return "only greets" if greets else None


def open_end(words: Sequence[str], phrases: Phrases) -> str | None:
    """Why a statement of these words (as `normal` gives them) cannot end where it does; None if it can."""
    return _open(*_last_phrase(words, phrases), words, phrases, question=False)


def _last_phrase(words: Sequence[str], phrases: Phrases) -> tuple[Literal["filler", "closed", "opener", "other"], str]:
    """The longest listed phrase that these words end with, and what it is."""
    last = " ".join(words[-phrases.longest :]) if phrases.longest else ""
    while last:
        if last in phrases.fillers:
            return "filler", last
        if last in phrases.closed or (" " in last and last in phrases.backchannels):
            return "closed", last
        if last in phrases.openers or last in phrases.binding:
            return "opener", last
        last = last.partition(" ")[2]
    return "other", ""


def _open(kind: str, last: str, words: Sequence[str], phrases: Phrases, question: bool) -> str | None:
    if kind == "filler":
        return f"a filler: {last!r}"
    return f"ends with {last!r}" if kind == "opener" and _binds(last, words, phrases, question) else None


def _binds(last: str, words: Sequence[str], phrases: Phrases, question: bool) -> bool:
    """Whether an opener at the end keeps a sentence open, which may be a question or contain one."""
    if last in phrases.binding or words[-1] in phrases.binding:
        return True
    if question:
        return False
    return " " in last or not _asks(words[:-1], phrases)


def _asks(words: Sequence[str], phrases: Phrases) -> bool:
    pairs = range(len(words))
    return any(" ".join(words[i : i + size]) in phrases.asking for i in pairs for size in (1, 2, 3))


def _only_begins(text: str, phrases: Phrases) -> str | None:
    """Whether the last sentence is one of the known beginnings, and nothing else."""
    sentences = [words for words in map(normal, _SENTENCES.split(text)) if words]
    words = sentences[-1].split()
    while words:
        if (sentence := " ".join(words)) in phrases.beginnings:
            return f"only begins: {sentence!r}"
        if not phrases.skippable(words[0]):
            return None
        del words[0]
    return None
