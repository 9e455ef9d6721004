"""What one turn of a caller contains, before anybody decides what it means for the dialogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from callengine.brain.flow import Intent, Slot
from callengine.brain.manners import Manners
from callengine.brain.slots import Found, SlotContext, Strength, Words
from callengine.brain.slots.words import listed

_REPAIRS = frozenset(listed("no sorry actually mean rather correction"))
_CUES = (
    ("actually",), ("make", "it"), ("make", "that"), ("i", "said"), ("i", "meant"), ("i", "mean"), ("change", "it"),
    ("change", "that"), ("change", "the"), ("instead",), ("rather",), ("correction",), ("better",),
)  # fmt: skip
_DIRECT_CUES = (("make", "it"), ("make", "that"), ("i", "said"), ("i", "meant"))
_OPENING_CUES = frozenset(listed("no nope sorry wait"))
_BEFORE_VALUE = frozenset(listed("on at for the to a"))
_ASKING = frozenset(
    listed("what where which who why how when is are do does did can could would will may have has shall am was were")
)
_WH = frozenset(listed("what where which who why how when"))
_FILLERS = frozenset(listed("and so but oh um uh er well hi hello sorry please excuse me ok okay"))
_DANGLING = frozenset(listed("and because but for if is maybe need of on or that's to until would"))
_DANGLING_UP_TO = 8
"""Words up to which such an end is no end. A longer sentence may well close with "handed it on"."""
_ALWAYS_DANGLING = frozenset(listed("a an and my or our the your because"))


@attrs.frozen
class Reading:
    """One turn: its tokens, and what can be said of them without knowing the dialogue.

    ``agrees`` is the yes or no it starts with; ``correcting`` whether it sounds like a correction, and
    ``direct_correction`` like one that needs no question ("make it six"); ``question`` whether it asks something;
    ``unfinished`` whether the sentence cannot end there.
    """

    words: Words
    agrees: bool | None
    correcting: bool
    direct_correction: bool
    question: bool
    unfinished: bool

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def of(cls, text: str, manners: Manners, context: SlotContext) -> Reading:
        """Read a turn."""
        words = Words.of(text)
        agreement = manners.yes_no.find(words, context)
        return cls(
            words=words,
            agrees=agreement[0].value if agreement and agreement[0].strength > Strength.BARE else None,
            correcting=words.at(0) in _OPENING_CUES or _has(words, _CUES),
            direct_correction=_has(words, _DIRECT_CUES),
            question=text.rstrip().endswith("?") or _first(words) in _ASKING,
            unfinished=_unfinished(words, text),
        )


def _has(words: Words, phrases: Sequence[tuple[str, ...]]) -> bool:
    return any(words.starts(index, *phrase) for index in range(len(words)) for phrase in phrases)


def _first(words: Words) -> str:
    """The first word that is more than a filler; none where a clause follows ("what I wanted to ask is")."""
    index = next((index for index, token in enumerate(words.lower) if token not in _FILLERS), len(words))
    return "" if words.at(index) in _WH and words.at(index + 1) in {"i", "we"} else words.at(index)


def _unfinished(words: Words, text: str) -> bool:
    if not words.lower or text.rstrip().endswith("?"):
        return False
    last = words.lower[-1]
    if last in _ALWAYS_DANGLING:
        return True
    return last in _DANGLING and _first(words) not in _WH and len(words) <= _DANGLING_UP_TO


def take(
    reading: Reading,
    slots: Sequence[Slot],
    context: SlotContext,
    *,
    pending: Slot | None = None,
    least: Strength = Strength.LIKELY,
) -> dict[str, Found]:
    """The values in a turn, by slot, each token used once.

    The slot that was asked for (``pending``) may be answered barely ("eight"); the others have to show what they are.
    """
    words = reading.words
    taken: dict[str, Found] = {}
    others = sorted((slot for slot in slots if slot != pending), key=lambda slot: slot.kind.order)
    asked = [pending] if pending is not None else []
    passes = (
        (asked, Strength.SURE),
        (others, Strength.SURE),
        (asked, Strength.BARE),
        (others, least),
    )
    for candidates, strength in passes:
        for slot in candidates:
            if slot.name in taken:
                continue
            hits = [hit for hit in slot.find(words, context) if hit.strength >= strength]
            hit = _chosen(words, hits)
            if hit is not None:
                taken[slot.name] = hit
            for each in hits if hit is None or hit.strength > Strength.BARE else [hit]:
                if each.strength > Strength.BARE or each is hit:
                    words = words.using(each.start, each.end)
    return taken


def _chosen(words: Words, hits: Sequence[Found]) -> Found | None:
    """The value that is meant: not "not Sunday", not the "from Thursday" of "from Thursday to Saturday", and the second
    one of "Friday, no, Saturday"."""
    meant = [hit for hit in hits if _before(words, hit) != "not"]
    if len(meant) > 1:
        meant = [hit for hit in meant if _before(words, hit) not in {"from", "of", "than"}] or meant
    if not meant:
        return None
    best = meant[0]
    for later in meant[1:]:
        between = words.lower[best.end : later.start]
        if later.strength == best.strength and later.start >= best.end and _REPAIRS.intersection(between):
            best = later
    return best


def _before(words: Words, hit: Found) -> str:
    """The word before a value, over "on the": "not", "from", "instead of", "rather than" tell old values from new."""
    index = hit.start - 1
    while words.at(index) in _BEFORE_VALUE and words.at(index) != "from":
        index -= 1
    if words.at(index) == "of" and words.at(index - 1) != "instead":
        return ""
    return words.at(index)


def covers(reading: Reading, found: Found) -> bool:
    """Whether a value is all that was said, but for a filler."""
    rest = (*reading.words.lower[: found.start], *reading.words.lower[found.end :])
    return all(token in _FILLERS for token in rest)


def named_slot(reading: Reading, intent: Intent) -> Slot | None:
    """The slot that a caller speaks of by name ("the time is wrong")."""
    for slot in intent.slots:
        for name in slot.names:
            if _has(reading.words, (Words.of(name).lower,)):
                return slot
    return None


def differing(found: Mapping[str, Found], values: Mapping[str, Any]) -> dict[str, Found]:
    """Those of the values that are new or not the ones known."""
    return {name: hit for name, hit in found.items() if name not in values or values[name] != hit.value}
