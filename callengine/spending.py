"""What a call's providers used, and what that costs: values, and how they are written for people.

Nothing in here is ever taken to be free for want of knowledge: an amount is a number, or None where it is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from math import floor

import attrs


@attrs.frozen(kw_only=True)
class Spent:
    """What one model of one provider did in one role, with its price."""

    role: str
    """``stt``, ``tts`` or ``llm``."""
    provider: str
    model: str = ""
    input_tokens: int = 0
    """The cached ones and those that were written to the cache among them."""
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    """Those of its reasoning among them."""
    reasoning_tokens: int = 0
    characters: int = 0
    seconds: float = 0.0
    estimated: bool = False
    """Whether a figure, or a part of it, is our own estimate and not the vendor's."""
    amount: Decimal | None = None
    """US dollars; None: unknown."""
    unconfirmed: bool = False
    """Whether its price was not confirmed by the vendor's own page."""
    own_machine: bool = False
    """Whether it ran on hardware of the user's own, which is why it costs nothing."""

    @property
    def about(self) -> bool:
        """Whether the amount rests on an estimate, or on a price that is not confirmed."""
        return self.amount is not None and not self.own_machine and (self.estimated or self.unconfirmed)

    @property
    def figures(self) -> str:
        """Such as ``812+64 tokens (512 cached)``; empty where nothing was told."""
        parts = []
        if self.input_tokens or self.output_tokens:
            of_which = [(self.cached_tokens, "cached"), (self.reasoning_tokens, "reasoning")]
            detail = ", ".join(f"{count} {name}" for count, name in of_which if count)
            parts.append(f"{self.input_tokens}+{self.output_tokens} tokens" + (f" ({detail})" if detail else ""))
        if self.characters:
            parts.append(f"{self.characters} characters")
        if self.seconds:
            parts.append(f"{self.seconds:.1f} s")
        return " ".join(parts)

    def __str__(self) -> str:
        price = "own machine" if self.own_machine else money(self.amount, about=self.about)
        return " ".join(filter(None, (self.provider, self.model, self.figures or f"{self.role} not told", price)))


@attrs.frozen
class Bill:
    """What several of them used."""

    lines: tuple[Spent, ...] = ()

    def __iter__(self) -> Iterator[Spent]:
        return iter(self.lines)

    @property
    def amount(self) -> Decimal:
        """US dollars, of what is known: at least so much where the bill is not ``complete``."""
        return sum((line.amount for line in self.lines if line.amount is not None), Decimal(0))

    @property
    def unknown(self) -> tuple[Spent, ...]:
        """What has no price."""
        return tuple(line for line in self.lines if line.amount is None)

    @property
    def complete(self) -> bool:
        """Whether everything has a price."""
        return not self.unknown

    @property
    def total(self) -> str:
        """The amount in words: ``$0.0123``, ``at least $0.0123``, ``unknown``."""
        if not self.complete and len(self.unknown) == len(self.lines):
            return "unknown"
        text = money(self.amount, about=any(line.about for line in self.lines))
        return text if self.complete else f"at least {text}"

    def __str__(self) -> str:
        return f"{self.total} ({', '.join(map(str, self.lines))})" if self.lines else self.total


@attrs.frozen
class Costs:
    """What a call cost at its providers; the carrier's minutes are not in it.

    ``str(costs)`` is one line for people. ``~`` stands before an amount that rests on an estimate of ours or on a price
    that is not confirmed.
    """

    all: Bill = Bill()
    """Of the whole call, a line for each role, provider and model."""
    turns: Mapping[int, Bill] = attrs.field(factory=dict)
    """The same by the turns in which it was spent; 0 is the greeting."""
    wasted: Bill = Bill()
    """What of ``all`` was for nothing: replies that were guessed and taken back, whoever lost to a faster provider or
    failed, a greeting that was made and not played."""

    def __str__(self) -> str:
        wasted = f"; wasted of it: {self.wasted}" if self.wasted.lines else ""
        return f"cost: {self.all}{wasted}"


def money(amount: Decimal | None, *, about: bool = False) -> str:
    """An amount of US dollars: ``$12.30``, ``$0.0123``, two digits where it is less than a tenth of a cent
    (``$0.000012``); never ``$0.00`` for what is not nothing. None is ``unknown``."""
    if amount is None:
        return "unknown"
    digits = 4
    if amount >= 1:
        digits = 2
    elif amount == 0:
        digits = 0
    elif amount < Decimal("0.001"):
        digits = 1 - floor(amount.log10())
    return f"{'~' if about else ''}${amount:.{digits}f}"
