"""What providers charge: a table of public list prices, which goes out of date, and the user's own above it."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias, get_args

import attrs

from callengine.errors import ConfigurationError
from callengine.ports import ProviderRole, Usage

PerUnit: TypeAlias = Mapping[str, Any]
Overrides: TypeAlias = Mapping[str, Mapping[str, "Price | PerUnit"]]
"""Provider to model to price: ``{"openai": {"gpt-6-luna": {"input": 0.08, "output": 0.4}}}``."""

_UNITS = ("input", "output", "cached", "cache_write", "characters", "hour")
_IN_AN_HOUR = {"second": 3600, "minute": 60}
_SEEN = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_MILLION, _THOUSAND = Decimal(1_000_000), Decimal(1_000)


def _dollars(value: Any) -> Decimal | None:
    if value is None:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ConfigurationError(f"a price is a number of US dollars, not {value!r}") from None
    if not amount.is_finite() or amount < 0:
        raise ConfigurationError(f"a price is a number of US dollars from 0 on, not {value!r}")
    return amount


@attrs.frozen(kw_only=True)
class Price:
    """What a provider's models whose name begins with ``model`` cost, in US dollars. One without any figure says that
    what they cost is unknown."""

    provider: str
    model: str = ""
    """The beginning of a model's name, up to one of its own limits (a hyphen, a dot, a colon); empty: all of them."""
    role: ProviderRole | None = attrs.field(
        default=None, validator=attrs.validators.in_((None, *get_args(ProviderRole)))
    )
    """Only in this role."""
    input: Decimal | None = attrs.field(default=None, converter=_dollars)
    """A million tokens of a prompt that are not otherwise priced."""
    output: Decimal | None = attrs.field(default=None, converter=_dollars)
    """A million tokens of the answer, reasoning among them."""
    cached: Decimal | None = attrs.field(default=None, converter=_dollars)
    """A million tokens of the prompt that came from the vendor's cache."""
    cache_write: Decimal | None = attrs.field(default=None, converter=_dollars)
    """A million tokens of the prompt that went into it."""
    characters: Decimal | None = attrs.field(default=None, converter=_dollars)
    """A thousand characters of text."""
    hour: Decimal | None = attrs.field(default=None, converter=_dollars)
    """An hour of audio, billed by the second."""
    own_machine: bool = False
    """Whether it runs on hardware of the user's own: it costs nothing, and that is known."""
    prompt_limit: int | None = None
    """Tokens of the longest prompt that has this price; what a longer one costs is unknown."""
    seen: str = attrs.field(default="", validator=attrs.validators.matches_re(f"({_SEEN.pattern})?"))
    """When it was read: ``2026-08-01``, or ``2026-08``, or ``2026``."""
    source: str = ""
    """The page that has it."""
    until: date | None = None
    """The last day on which it is so."""
    unconfirmed: bool = False
    """Whether it was only seen elsewhere than on that page, or is a rough one."""
    note: str = ""

    def cost(self, usage: Usage) -> tuple[Decimal | None, bool]:
        """US dollars of this much use, or None where that is unknown; and whether a part of it is our estimate.

        Tokens from a cache are billed once, at their own price; where that is unknown, at the full one, as an estimate.
        """
        if self.own_machine:
            return Decimal(0), False
        sums: list[Decimal] = []
        estimated = False
        if usage.input_tokens or usage.output_tokens:
            tokens, estimated = self._tokens(usage)
            sums += [] if tokens is None else [tokens]
        if usage.characters and self.characters is not None:
            sums.append(usage.characters * self.characters / _THOUSAND)
        if usage.seconds and self.hour is not None:
            sums.append(Decimal(str(usage.seconds)) * self.hour / 3600)
        return (sum(sums, Decimal(0)), estimated) if sums else (None, False)

    def _tokens(self, usage: Usage) -> tuple[Decimal | None, bool]:
        if self.prompt_limit is not None and usage.input_tokens > self.prompt_limit:
            return None, False
        cached = min(usage.cached_tokens, usage.input_tokens)
        written = min(usage.cache_write_tokens, usage.input_tokens - cached)
        plain = usage.input_tokens - cached - written
        counts = [
            (plain, self.input),
            (cached, self.input if self.cached is None else self.cached),
            (written, self.input if self.cache_write is None else self.cache_write),
            (usage.output_tokens, self.output),
        ]
        if any(count and price is None for count, price in counts):
            return None, False
        estimated = bool(cached and self.cached is None) or bool(written and self.cache_write is None)
        return sum((count * price for count, price in counts if price is not None), Decimal(0)) / _MILLION, estimated

    def fits(self, provider: str, model: str, role: str, on: date | None) -> bool:
        """Whether this is a price of that model, on that day (None: today's is as good as any)."""
        ours, name = self.model.lower(), model.lower()
        rest = name[len(ours) :]
        begins = name.startswith(ours) and (not ours or not rest or not rest[0].isalnum())
        lasts = self.until is None or on is None or on <= self.until
        return provider == self.provider and begins and self.role in (None, role) and lasts


@attrs.frozen
class PriceTable:
    """Prices, and which of them is a model's: the one with the longest beginning of its name. What is in no row has no
    price, which is not the same as none.

    ``own`` are the user's: of several that are as long, one of these.
    """

    prices: tuple[Price, ...] = ()
    own: tuple[Price, ...] = ()

    @classmethod
    def load(cls, path: Path | None = None) -> PriceTable:
        """The packaged table, or a file like it. Raises `ConfigurationError` for one that cannot be read."""
        return _packaged() if path is None else cls(_read(path.read_text(encoding="utf-8"), str(path)))

    def with_overrides(self, overrides: Overrides) -> PriceTable:
        """With the user's own prices: each takes the place of all rows for the same beginning of a model's name.

        A price is a `Price`, or a mapping of its fields; ``second`` and ``minute`` may stand for ``hour``. Raises
        `ConfigurationError`.
        """
        own = [
            attrs.evolve(fields, provider=provider, model=model)
            if isinstance(fields, Price)
            else _price({"source": "your own", **fields, "provider": provider, "model": model}, "prices")
            for provider, models in overrides.items()
            for model, fields in models.items()
        ]
        return attrs.evolve(self, own=(*own, *self.own))

    def find(self, provider: str, model: str, role: str, *, on: date | None = None) -> Price | None:
        """The price of this model in this role; None where that is unknown.

        Where it changes, the one of that day; without one, the last of them.
        """
        found: Price | None = None
        for price in (*self.own, *self.prices):
            if price.fits(provider, model, role, on) and (found is None or self._before(price, found, on)):
                found = price
        return found

    def _before(self, price: Price, found: Price, on: date | None) -> bool:
        if len(price.model) != len(found.model):
            return len(price.model) > len(found.model)
        if found in self.own:
            return False
        if (price.role is None) != (found.role is None):
            return price.role is not None
        ends, others = price.until or date.max, found.until or date.max
        return ends > others if on is None else ends < others


@functools.cache
def _packaged() -> PriceTable:
    name = "prices.toml"
    return PriceTable(_read(files("callengine.records").joinpath(name).read_text(encoding="utf-8"), name))


def _read(text: str, where: str) -> tuple[Price, ...]:
    try:
        rows = tomllib.loads(text, parse_float=Decimal).get("price", [])
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        raise ConfigurationError(f"{where}: prices are [[price]] tables")
    return tuple(_price(row, where) for row in rows)


def _price(row: PerUnit, where: str) -> Price:
    fields = dict(row)
    name = " ".join(str(fields.get(part, "")) for part in ("provider", "model")).strip()
    given = [unit for unit in ("hour", *_IN_AN_HOUR) if unit in fields]
    if len(given) > 1:
        raise ConfigurationError(f"{where}: {name}: give one of {' and '.join(given)}")
    for unit in set(given) & set(_IN_AN_HOUR):
        price = _dollars(fields.pop(unit))
        fields["hour"] = None if price is None else price * _IN_AN_HOUR[unit]
    known = {field.name for field in attrs.fields(Price)}
    if unknown := sorted(set(fields) - known):
        raise ConfigurationError(
            f"{where}: {name}: a price has no {', '.join(unknown)}; it has "
            f"{', '.join((*_UNITS, *_IN_AN_HOUR))}, and what `callengine.records.prices.Price` says"
        )
    try:
        return Price(**fields)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{where}: {name}: {error.args[0]}") from error
