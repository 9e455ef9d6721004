"""What a call cost, from its journal: by turn, by provider, with what is unknown and what was for nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from callengine.journal import FACTS_KEPT, Journal, JournalSettings, Record, read_journal
from callengine.ports import Usage
from callengine.records.costs import costs_of, price_usage
from callengine.records.prices import PriceTable
from callengine.spending import Bill, Costs, Spent, money

TABLE = PriceTable.load()


def book(*records: tuple[str, dict], day: str = "2026-11-22") -> list[Record]:
    started = Record("CA1", 0.0, "call.started", {"wall_time": f"{day}T10:00:00.000", "agent": "llm"})
    return [started, *(Record("CA1", float(index), kind, data) for index, (kind, data) in enumerate(records, 1))]


def used(role: str, provider: str, turn: int = 0, **figures) -> tuple[str, dict]:
    return "usage", {"turn": turn, "role": role, "provider": provider, **figures}


def ended(turn: int) -> tuple[str, dict]:
    return "turn.ended", {"turn": turn}


HEARD = used("stt", "deepgram", model="nova-3", seconds=12.3)
WRITTEN = used("llm", "openai", 1, model="gpt-6-luna", input_tokens=812, output_tokens=64)
SPOKEN = used("tts", "elevenlabs", 1, model="eleven_v9", characters=203)


def test_a_line_for_people():
    costs = costs_of(book(HEARD, ended(1), WRITTEN), TABLE)
    assert str(costs) == ("cost: $0.0011 (deepgram nova-3 12.3 s $0.00098, openai gpt-6-luna 812+64 tokens $0.00011)")
    assert costs.all.amount == Decimal("0.000984") + Decimal("0.0001132")
    assert costs.all.complete


def test_r58_what_has_no_price_is_unknown_and_the_sum_says_at_least():
    own = TABLE.with_overrides({"elevenlabs": {"eleven": {}}})
    costs = costs_of(book(HEARD, ended(1), WRITTEN, SPOKEN), own)
    assert [line.provider for line in costs.all.unknown] == ["elevenlabs"]
    assert not costs.all.complete
    assert str(costs).startswith("cost: at least $0.0011 (")
    assert str(costs).endswith(", elevenlabs eleven_v9 203 characters unknown)")


def test_r58_where_nothing_is_known_there_is_no_number_at_all():
    costs = costs_of(book(used("llm", "acme", model="swift", input_tokens=5, output_tokens=6)), TABLE)
    assert str(costs) == "cost: unknown (acme swift 5+6 tokens unknown)"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0"),
        ("12.3", "$12.30"),
        ("1", "$1.00"),
        ("0.9999", "$0.9999"),
        ("0.0123", "$0.0123"),
        ("0.001", "$0.0010"),
        ("0.0009", "$0.00090"),
        ("0.00000012345", "$0.00000012"),
    ],
)
def test_r59_what_is_not_nothing_is_never_shown_as_nothing(amount, text):
    assert money(Decimal(amount)) == text
    assert money(None) == "unknown"


def test_estimates_and_prices_that_nobody_confirmed_are_about():
    estimated = used("stt", "deepgram", model="nova-3", seconds=60.0, estimated=True)
    assert str(costs_of(book(estimated), TABLE)) == "cost: ~$0.0048 (deepgram nova-3 60.0 s ~$0.0048)"
    rough = used("tts", "rime", model="coda", characters=1000)
    assert str(costs_of(book(rough), TABLE)) == "cost: ~$0.0300 (rime coda 1000 characters ~$0.0300)"


def test_a_machine_of_one_s_own_costs_nothing_and_says_why():
    heard = used("stt", "local", model="moonshine tiny-en", seconds=2.0, estimated=True)
    spoken = used("tts", "local", model="hibari", characters=20)
    assert str(costs_of(book(heard, spoken), TABLE)) == (
        "cost: $0 (local moonshine tiny-en 2.0 s own machine, local hibari 20 characters own machine)"
    )


def test_figures_are_added_up_by_role_provider_and_model():
    again = used("llm", "openai", 2, model="gpt-6-luna", input_tokens=188, cached_tokens=100, output_tokens=36)
    other = used("llm", "openai", 2, model="gpt-6-sol", input_tokens=1)
    lines = costs_of(book(WRITTEN, again, other), TABLE).all.lines
    assert [(line.model, line.input_tokens, line.cached_tokens, line.output_tokens) for line in lines] == [
        ("gpt-6-luna", 1000, 100, 100),
        ("gpt-6-sol", 1, 0, 0),
    ]
    assert lines[0].figures == "1000+100 tokens (100 cached)"


def test_what_of_a_model_s_use_has_no_price_is_a_line_of_its_own():
    long = used("llm", "openai", model="gpt-6-luna", input_tokens=300_000)
    lines = costs_of(book(WRITTEN, long), TABLE).all.lines
    assert sorted(line.amount is None for line in lines) == [False, True]


def test_a_recogniser_s_use_is_of_the_turn_that_it_helped_to_understand():
    later = used("stt", "deepgram", 1, model="nova-3", seconds=3.0)
    last = used("stt", "deepgram", 2, model="nova-3", seconds=1.0)
    costs = costs_of(book(HEARD, ended(1), WRITTEN, later, ended(2), last), TABLE)
    assert {turn: [line.seconds for line in bill if line.role == "stt"] for turn, bill in costs.turns.items()} == {
        1: [12.3],
        2: [4.0],
    }
    assert costs.turns[1].amount + costs.turns[2].amount == costs.all.amount


def test_what_was_for_nothing_is_counted_and_shown_apart():
    wasted = "usage.wasted", {"turn": 1, "role": "llm", "provider": "openai", "model": "gpt-6-luna", "output_tokens": 9}
    costs = costs_of(book(WRITTEN, wasted), TABLE)
    assert costs.all.amount == Decimal("0.0001132")
    assert costs.wasted.amount == Decimal("0.0000045")
    assert str(costs).endswith("; wasted of it: $0.0000045 (openai gpt-6-luna 0+9 tokens $0.0000045)")


def test_the_price_is_that_of_the_day():
    asked = used("llm", "gemini", model="gemini-3.8-flash", input_tokens=1_000_000)
    assert costs_of(book(asked), TABLE).all.amount == Decimal("0.75")
    assert costs_of(book(asked, day="2027-01-01"), TABLE).all.amount == Decimal("1.5")


@pytest.mark.parametrize(
    ("did", "role"),
    [
        (("transcript", {"text": "hello", "final": True}), "stt"),
        (("reply.token", {"turn": 1}), "llm"),
        (("reply.audio", {"turn": 1}), "tts"),
    ],
)
def test_who_worked_and_told_nothing_costs_nobody_knows_what(did, role):
    ready = "provider.ready", {"role": role, "provider": "mine"}
    costs = costs_of(book(ready, did), TABLE)
    assert str(costs) == f"cost: unknown (mine {role} not told unknown)"
    told = used(role, "local", seconds=1.0)
    assert costs_of(book(ready, did, told), TABLE).all.complete


def test_a_call_in_which_nobody_did_anything_cost_nothing():
    assert str(costs_of(book(), TABLE)) == "cost: $0"
    assert Costs() == costs_of([], TABLE)


def test_use_without_a_call():
    usage = Usage(provider="deepgram", model="aura-2-thalia-en", characters=1000)
    assert price_usage(usage, "tts", TABLE) == Spent(
        role="tts", provider="deepgram", model="aura-2-thalia-en", characters=1000, amount=Decimal("0.03"),
        unconfirmed=True,
    )  # fmt: skip
    assert Bill((price_usage(usage, "tts", TABLE),)).total == "~$0.0300"


async def test_the_books_keep_every_bill_of_a_long_call(tmp_path):
    """Given a call of a thousand turns and more records than are kept, when it is over, then its cost is exact."""
    journal = Journal("CA1", JournalSettings())
    for turn in range(1, 1001):
        for _ in range(FACTS_KEPT // 500):
            journal.note("decision", what="flow", reason="for the test")
        journal.note("usage", turn=turn, role="tts", provider="elevenlabs", model="eleven_v3", characters=7)
        journal.note("turn.ended", turn=turn)
    assert journal.dropped
    assert costs_of(journal, TABLE).all.amount == Decimal("0.7")
    assert len(costs_of(journal, TABLE).turns) == 1000


def test_the_same_from_a_file(tmp_path):
    records = book(HEARD, ended(1), WRITTEN, SPOKEN)
    file = tmp_path / "CA1.jsonl"
    file.write_text("".join(f"{record.to_json()}\n" for record in records))
    assert costs_of(read_journal(file), TABLE) == costs_of(records, TABLE)
