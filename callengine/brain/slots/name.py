"""A person's name: "my name is Harrison", "under Peter Collins", "H A R R I S O N", or just "Harrison"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from callengine.brain.slots.base import Found, SlotContext, SlotKind, Strength
from callengine.brain.slots.words import Words, cardinal, listed

_SURE = (
    ("my", "name", "is"),
    ("my", "name's"),
    ("the", "name", "is"),
    ("name", "is"),
    ("the", "name's"),
    ("last", "name", "is"),
    ("in", "the", "name", "of"),
    ("under", "the", "name", "of"),
    ("under", "the", "name"),
    ("by", "the", "name", "of"),
    ("name", "of"),
)
_LIKELY = (("under",), ("this", "is"), ("i", "am"), ("i'm"), ("call", "me"))
_ASKED = (("it's",), ("it", "is"), ("that's",), ("that", "is"), ("for",))
_NOT_NAMES = frozenset(
    listed(
        """
        a about account actually afraid again all allergy already also am an and another any anybody anyone
        anything are around ask at available back bad be because book booking but by bye call called calling can
        cancel change come coming correct could day dear did different dinner do does done eat eight eleven else
        enough evening excuse fine five food for four free friday from get give go going gone good goodbye got
        great had happy has have he hear heard hello help her here hi his hmm hold how i i'd i'll i'm if in
        interested is it it's its just know last later let like listening long looking lunch make man manager
        many maybe me mean meant mine minute mm moment monday month more morning move much my name need never
        next nice night nine no nobody nope not nothing now number of off oh ok okay on one open or other our
        out pardon party people person phone please put question quite ready real really repeat reservation
        reserve right running said same saturday say second see she should six so some somebody someone
        something soon sorry speak spell spelled spelling still stop sunday sure table ten thank thanks that
        that's the their them then there these they think this three thursday time to today tomorrow tonight too
        try trying tuesday twelve two uh um under understand us vegetarian very wait wanna want was we wednesday
        week well were what when where which who why will with wondering would wrong yeah year yep yes you your
        yours zero
        """
    )
)
_AFTERWARDS = frozenset(listed("please speaking thanks thank here calling from"))
_OPENERS = frozenset(listed("oh um uh er well yes yeah sure okay ok of course so and"))
_LETTER_WORDS = {"double": 2}
_PARTICLES = frozenset(listed("de da di del della van von der den la le el al bin o mac mc st"))
_MOST = 4
"""Words of a name; more is a sentence."""


@attrs.frozen
class Name(SlotKind):
    """A name as a `str`, with capitals. Spelled letters are joined ("H A R R" and "I S O N" make "Harrison"), over
    two turns too."""

    order = 60
    hint = "my name is Harrison"

    def find(self, words: Words, context: SlotContext) -> Sequence[Found]:
        del context
        found = [hit for index in range(len(words)) if (hit := self._after_marker(words, index))]
        found.sort(key=lambda hit: (-hit.strength, -len(hit.value)))
        bare = self._bare(words)
        return [*found, bare] if bare and not found else found

    def _after_marker(self, words: Words, index: int) -> Found | None:
        for phrases, strength in ((_SURE, Strength.SURE), (_LIKELY, Strength.LIKELY), (_ASKED, Strength.BARE)):
            for phrase in phrases:
                if not words.starts(index, *phrase):
                    continue
                start = index + len(phrase)
                hit = _name_at(words, start)
                # a hint such as "I am" or "under" needs a capital to be one: "I am running late"
                if hit and (strength != Strength.LIKELY or words.raw[start][0].isupper()):
                    return Found(hit[0], index, hit[1], strength, open_ended=hit[2])
        return None

    def _bare(self, words: Words) -> Found | None:
        """The whole answer is a name, with little around it."""
        start = 0
        while words.at(start) in _OPENERS:
            start += 1
        hit = _name_at(words, start)
        if hit is None:
            return None
        rest = words.lower[hit[1] :]
        if any(token not in _AFTERWARDS | {"you", "is", "my", "name", "the"} for token in rest):
            return None
        return Found(hit[0], start, hit[1], Strength.BARE, open_ended=hit[2])

    def say(self, value: Any) -> str:
        return str(value)

    def join(self, earlier: Any, later: Any) -> Any:
        return later if later.lower().startswith(earlier.lower()) else earlier + later.lower()


def _name_at(words: Words, start: int) -> tuple[str, int, bool] | None:
    """The name at ``start``, the index behind it (and behind its spelling), and whether it was spelled."""
    spelled = _spelled(words, start)
    if spelled:
        return (*spelled, True)
    end = start
    while end < len(words) and end - start < _MOST and words.free(end, end + 1) and _may_be_name(words, end):
        end += 1
        if end - 1 in words.breaks:
            break
    if end == start or (end - start == _MOST and end < len(words) and _may_be_name(words, end)):
        return None
    value = " ".join(_capital(words.raw[index]) for index in range(start, end))
    spelling = _spelled(words, end)
    if spelling and spelling[0][0].lower() in {part[0].lower() for part in value.split()}:
        return (*spelling, True)  # "Harrison, H A R R I S O N": the letters are surer
    return value, end, False


def _spelled(words: Words, start: int) -> tuple[str, int] | None:
    letters, index = "", start
    while index < len(words):
        token = words.at(index)
        if token in _LETTER_WORDS and len(words.at(index + 1)) == 1:
            letters += words.at(index + 1) * _LETTER_WORDS[token]
            index += 2
        elif len(token) == 1 and token.isalpha():
            letters += token
            index += 1
        else:
            break
    return (letters.capitalize(), index) if len(letters) >= 2 else None


def _may_be_name(words: Words, index: int) -> bool:
    token = words.at(index)
    if token in _NOT_NAMES or token in _AFTERWARDS or cardinal(words, index) or not token.replace("'", "").isalpha():
        return False
    return len(token) > 1 or token in _PARTICLES


def _capital(raw: str) -> str:
    return raw if raw != raw.lower() or raw in _PARTICLES else raw[0].upper() + raw[1:]
