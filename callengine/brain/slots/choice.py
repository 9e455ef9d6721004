"""One of some things, or several of them: each with the phrases that callers use for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from callengine.brain.slots.base import Found, SlotContext, SlotKind
from callengine.brain.slots.words import Words
from callengine.errors import ConfigurationError


def _frozen(options: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(phrases) for name, phrases in options.items()}


@attrs.frozen
class Choice(SlotKind):
    """``options`` maps what is said back ("a high chair") to the phrases that mean it ("high chair", "baby seat").

    Without ``many`` the value is one of the names; with it, a tuple of those that were mentioned, which grows with
    further turns.
    """

    options: Mapping[str, Sequence[str]] = attrs.field(converter=_frozen, hash=False)
    many: bool = False

    order = 50

    def __attrs_post_init__(self) -> None:
        if not self.options or not all(self.options.values()):
            raise ConfigurationError(
                "Choice(options=...) needs at least one option, each with the phrases that mean it"
            )

    @property
    def accumulates(self) -> bool:
        return self.many

    @property
    def hint(self) -> str:
        return next(iter(self.options))

    def find(self, words: Words, context: SlotContext) -> Sequence[Found]:
        del context
        hits: list[Found] = []
        for name, phrases in self.options.items():
            tokens = [Words.of(phrase).lower for phrase in phrases]
            spans = [
                (index, index + len(phrase))
                for index in range(len(words))
                for phrase in tokens
                if words.starts(index, *phrase) and words.free(index, index + len(phrase))
            ]
            if spans:
                hits.append(Found(name, *min(spans)))
        hits.sort(key=lambda hit: hit.start)
        if self.many and hits:
            return [Found(tuple(hit.value for hit in hits), hits[0].start, hits[0].end)]
        return hits

    def join(self, earlier: Any, later: Any) -> Any:
        if not self.many:
            return later
        return (*earlier, *(value for value in later if value not in earlier))

    def say(self, value: Any) -> str:
        names = value if self.many else (value,)
        return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
