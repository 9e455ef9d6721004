"""What a call cost, from its journal: what its providers told of their use, and the price table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import attrs

from callengine.journal import Record
from callengine.ports import Usage
from callengine.records.prices import PriceTable
from callengine.spending import Bill, Costs, Spent

_FIGURES = tuple(field.name for field in attrs.fields(Usage))
_COUNTS = ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "characters")


def costs_of(records: Iterable[Record], prices: PriceTable) -> Costs:
    """The costs of a call, or of as much of it as there is.

    A recogniser's use counts for the turn that it helped to understand, all other use for the turn that it was told in;
    a guessed reply's for the turn that it would have answered. A provider that worked and told nothing of its use has
    a line without figures, whose amount is unknown.
    """
    records = list(records)
    on = _day(records)
    told = [_spent(record, prices, on) for record in records if record.kind == "usage"]
    wasted = [_spent(record, prices, on) for record in records if record.kind == "usage.wasted"]
    turns: dict[int, list[Spent]] = {}
    for turn, spent in zip(_turns(records), told, strict=True):
        turns.setdefault(turn, []).append(spent)
    return Costs(
        all=_bill([*told, *_silent(records)]),
        turns={turn: _bill(turns[turn]) for turn in sorted(turns)},
        wasted=_bill(wasted),
    )


def price_usage(usage: Usage, role: str, prices: PriceTable, *, on: date | None = None) -> Spent:
    """What this use cost, at the price of that day."""
    price = prices.find(usage.provider, usage.model, role, on=on)
    amount, estimated = (None, False) if price is None else price.cost(usage)
    figures = {**attrs.asdict(usage), "estimated": usage.estimated or estimated}
    if price is None or amount is None:
        return Spent(role=role, **figures)
    return Spent(role=role, amount=amount, unconfirmed=price.unconfirmed, own_machine=price.own_machine, **figures)


def _spent(record: Record, prices: PriceTable, on: date | None) -> Spent:
    usage = Usage(**{"model": "", **{name: value for name, value in record.data.items() if name in _FIGURES}})
    return price_usage(usage, record.data["role"], prices, on=on)


def _day(records: Sequence[Record]) -> date | None:
    """The day of the call, by the wall clock; None for a journal without its beginning."""
    started = next((record for record in records if record.kind == "call.started"), None)
    return None if started is None else datetime.fromisoformat(started.data["wall_time"]).date()


def _turns(records: Sequence[Record]) -> list[int]:
    """The turn that each record of use counts for, in order."""
    found: list[int] = []
    open_turns: list[int] = []
    """Where a recogniser's use is in ``found`` whose turn has not ended yet."""
    for record in records:
        if record.kind == "turn.ended":
            for index in open_turns:
                found[index] = record.data["turn"]
            open_turns.clear()
        elif record.kind == "usage":
            if record.data["role"] == "stt":
                open_turns.append(len(found))
            found.append(record.data["turn"])
    return found


def _bill(spent: Iterable[Spent]) -> Bill:
    """A line for each role, provider and model; another one for what of it has no price."""
    lines: dict[tuple[Any, ...], Spent] = {}
    for one in spent:
        key = (_ROLES.get(one.role, len(_ROLES)), one.provider, one.model, one.amount is None)
        lines[key] = one if key not in lines else _sum(lines[key], one)
    return Bill(tuple(lines[key] for key in sorted(lines)))


_ROLES: Mapping[str, int] = {"stt": 0, "llm": 1, "tts": 2}
"""The order in which people think of them."""


def _sum(one: Spent, other: Spent) -> Spent:
    counts = {name: getattr(one, name) + getattr(other, name) for name in _COUNTS}
    return attrs.evolve(
        one,
        **counts,
        seconds=one.seconds + other.seconds,
        amount=None if one.amount is None or other.amount is None else one.amount + other.amount,
        estimated=one.estimated or other.estimated,
        unconfirmed=one.unconfirmed or other.unconfirmed,
    )


def _silent(records: Sequence[Record]) -> list[Spent]:
    """Who worked, and told nothing of what it used."""
    agent = next((record.data.get("agent") for record in records if record.kind == "call.started"), None)
    worked = {
        "stt": any(record.kind == "transcript" and record.data["text"] for record in records),
        "llm": agent == "llm" and any(record.kind == "reply.token" for record in records),
        "tts": any(record.kind == "reply.audio" for record in records),
    }
    told = {record.data["role"] for record in records if record.kind == "usage"}
    ready = {record.data["role"]: record.data["provider"] for record in records if record.kind == "provider.ready"}
    return [
        Spent(role=role, provider=ready.get(role, "a provider"))
        for role, did in worked.items()
        if did and role not in told
    ]
