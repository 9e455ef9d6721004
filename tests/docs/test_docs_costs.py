"""The page on costs: its program runs, and its table is the one that calls are priced by.

``python tests/docs/test_docs_costs.py`` writes the table into the page.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

from callengine.records.prices import Price, PriceTable

FILE = Path(__file__).parents[2] / "docs" / "costs.md"
HEAD = "| provider | role | model begins with | US dollars | seen | note |\n| --- | --- | --- | --- | --- | --- |\n"


def table() -> str:
    """The packaged prices as the page has them."""
    return HEAD + "".join(map(_row, PriceTable.load().prices))


def _row(price: Price) -> str:
    note = "; ".join(filter(None, (price.note, _limits(price))))
    cells = (price.provider, price.role or "", f"`{price.model}`" if price.model else "(all)", _figures(price))
    return f"| {' | '.join((*cells, price.seen, note))} |\n"


def _limits(price: Price) -> str:
    until = f"until {price.until}" if price.until else ""
    longest = f"prompts of up to {price.prompt_limit:,} tokens" if price.prompt_limit else ""
    return "; ".join(filter(None, (until, longest)))


def _figures(price: Price) -> str:
    if price.own_machine:
        return "nothing: your own machine"
    about = "~" if price.unconfirmed else ""
    units = [
        (price.input, "in"), (price.cached, "cached"), (price.cache_write, "cache write"), (price.output, "out"),
    ]  # fmt: skip
    tokens = ", ".join(f"{_plain(value)} {name}" for value, name in units if value is not None)
    parts = [f"{tokens} / 1M tokens"] if tokens else []
    parts += [f"{_plain(price.characters)} / 1,000 characters"] if price.characters is not None else []
    parts += [f"{_plain(price.hour)} / hour"] if price.hour is not None else []
    return f"{about}{'; '.join(parts)}" if parts else "unknown"


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def page() -> str:
    return FILE.read_text(encoding="utf-8")


def test_the_table_is_that_of_the_code():
    assert page().partition(HEAD)[2] == table().removeprefix(HEAD)


async def test_the_program_counts_what_a_call_cost(call_lab, capsys):
    # given the page's engine, with the lab's parts in the place of real ones
    scope: dict[str, object] = {}
    program = re.findall(r"```python\n(.*?)```", page(), re.DOTALL)[0]
    exec(program, scope)
    written = scope["engine"]
    call_lab.llm.replies("For how many?")
    # when it takes a call
    async with call_lab.engine(written.agent, prices=written.prices) as engine:
        engine.on_call_end(scope["count"])
        async with call_lab.dial(engine) as caller:
            await caller.hears("Chez Trio, good evening!")
            await caller.says("A table, please.")
            await caller.hears("For how many?")
    # then it has counted the prices that it gave, and names what has none
    characters = len("Chez Trio, good evening!For how many?")
    assert scope["spent"] == (10 * Decimal("0.10") + 10 * Decimal("0.50")) / 1_000_000 + characters * Decimal("0.00003")
    assert re.search(r"no price for scripted stt: \d+\.\d s", capsys.readouterr().out)


if __name__ == "__main__":
    FILE.write_text(page().partition(HEAD)[0] + table(), encoding="utf-8")
