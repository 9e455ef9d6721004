"""The price table: which row is a model's, what it makes of figures, and that what is not in it is unknown."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import pytest

from callengine.errors import ConfigurationError
from callengine.ports import Usage
from callengine.providers.catalogue import CATALOGUE
from callengine.records.prices import Price, PriceTable

TABLE = PriceTable.load()


def cost(price: Price | None, **figures) -> Decimal | None:
    assert price is not None
    return price.cost(Usage(provider=price.provider, model=price.model, **figures))[0]


# --- the packaged table ---------------------------------------------------------------------------------------------


def test_every_figure_has_a_date_and_a_page():
    for price in TABLE.prices:
        if not price.own_machine:
            assert re.fullmatch(r"20\d\d(-\d\d(-\d\d)?)?", price.seen), price
            assert price.source.startswith("https://"), price


def test_no_row_is_there_twice():
    rows = [(price.provider, price.role, price.model, price.until) for price in TABLE.prices]
    assert len(set(rows)) == len(rows)


def test_the_rows_are_of_providers_that_there_are():
    assert {price.provider for price in TABLE.prices} <= {entry.name for entry in CATALOGUE}


@pytest.mark.parametrize("provider", ["local", "whisper", "ollama"])
def test_what_runs_on_the_user_s_own_machine_costs_nothing_and_is_known_to(provider):
    price = TABLE.find(provider, "whatever", "llm")
    assert price.own_machine
    assert cost(price, seconds=3600, characters=1000, input_tokens=1000) == 0


def test_every_unit():
    assert cost(TABLE.find("deepgram", "nova-3", "stt"), seconds=60) == Decimal("0.0048")
    assert cost(TABLE.find("soniox", "stt-rt-v5", "stt"), seconds=60) == Decimal("0.002")
    assert cost(TABLE.find("elevenlabs", "eleven_flash_v2_5", "tts"), characters=1000) == Decimal("0.05")
    haiku = TABLE.find("anthropic", "claude-haiku-5-5-20261001", "llm")
    assert cost(haiku, input_tokens=1_000_000 // 10, output_tokens=100_000) == Decimal("0.06")


def test_a_price_that_ends_is_followed_by_the_next_one():
    promotion = TABLE.find("gemini", "gemini-3.8-flash", "llm", on=date(2026, 12, 31))
    after = TABLE.find("gemini", "gemini-3.8-flash", "llm", on=date(2027, 1, 1))
    assert (promotion.input, after.input) == (Decimal("0.75"), Decimal("1.50"))
    assert TABLE.find("gemini", "gemini-3.8-flash", "llm") == after


# --- which row ------------------------------------------------------------------------------------------------------


def table(*rows: str) -> PriceTable:
    return PriceTable(tuple(Price(provider="acme", model=row, input=index) for index, row in enumerate(rows, 1)))


@pytest.mark.parametrize(
    ("model", "row"),
    [
        ("swift", "swift"),
        ("swift-2026-09-01", "swift"),
        ("Swift", "swift"),
        ("swift-mini", "swift-mini"),
        ("swift-mini-2", "swift-mini"),
        ("swiftest", None),
        ("swif", None),
        ("", None),
    ],
)
def test_the_longest_beginning_of_a_name_counts_and_it_ends_where_a_word_does(model, row):
    for prices in (table("swift", "swift-mini"), table("swift-mini", "swift")):
        found = prices.find("acme", model, "llm")
        assert (found.model if found else None) == row


def test_another_vendor_s_model_of_the_same_name_has_not_its_price():
    assert TABLE.find("openai", "gpt-6-luna", "llm") is not None
    assert TABLE.find("openrouter", "openai/gpt-6-luna", "llm") is None
    assert TABLE.find("groq", "gpt-6-luna", "llm") is None


def test_a_row_for_a_role_is_not_for_another():
    assert TABLE.find("azure", "en-US-AvaNeural", "tts").characters == Decimal("0.015")
    assert TABLE.find("azure", "", "stt").hour == 1
    assert TABLE.find("azure", "", "llm") is None


def test_a_longer_row_without_a_figure_says_unknown():
    lite = TABLE.find("gemini", "gemini-2.5-flash-lite", "llm")
    assert cost(TABLE.find("gemini", "gemini-2.5-flash", "llm"), input_tokens=10) > 0
    assert cost(lite, input_tokens=10) is None


# --- what a row makes of figures --------------------------------------------------------------------------------------


def test_a_price_for_audio_says_nothing_of_tokens_and_the_other_way_round():
    transcriber = TABLE.find("openai", "gpt-4o-transcribe", "stt")
    assert cost(transcriber, input_tokens=14, output_tokens=6) is None
    assert cost(transcriber, input_tokens=14, output_tokens=6, seconds=60) == Decimal("0.006")
    assert cost(TABLE.find("openai", "gpt-6-luna", "llm"), seconds=60) is None


def test_a_price_for_half_of_the_tokens_is_none():
    assert cost(Price(provider="acme", input=1), input_tokens=10, output_tokens=10) is None
    assert cost(Price(provider="acme", input=1), input_tokens=1_000_000) == 1


def test_a_prompt_that_is_longer_than_the_price_is_for_is_unknown():
    haiku = TABLE.find("anthropic", "claude-haiku-5-5", "llm")
    assert cost(haiku, input_tokens=100_000) == Decimal("0.01")
    assert cost(haiku, input_tokens=100_001) is None


def test_r60_tokens_from_a_cache_are_billed_once_at_their_own_price():
    luna = TABLE.find("openai", "gpt-6-luna", "llm")
    figures = {"input_tokens": 1000, "cached_tokens": 600, "cache_write_tokens": 100}
    # 300 plain ones at 0.10, 600 at 0.01 and 100 at 0.125 a million
    assert cost(luna, **figures) == Decimal("0.0000485")
    assert cost(luna, input_tokens=1000) == Decimal("0.0001")


def test_reasoning_is_a_part_of_the_output_and_billed_with_it():
    luna = TABLE.find("openai", "gpt-6-luna", "llm")
    assert cost(luna, output_tokens=100, reasoning_tokens=80) == cost(luna, output_tokens=100)


def test_cached_tokens_whose_price_is_unknown_cost_the_full_one_as_an_estimate():
    price = Price(provider="acme", input=1, output=1)
    assert price.cost(Usage(provider="acme", model="", input_tokens=1_000_000, cached_tokens=999)) == (1, True)
    assert price.cost(Usage(provider="acme", model="", input_tokens=1_000_000)) == (1, False)


# --- the user's own -------------------------------------------------------------------------------------------------


def test_the_user_s_prices_take_the_place_of_the_row():
    own = TABLE.with_overrides(
        {
            "deepgram": {"nova-3": {"minute": 0.0042}},
            "acme": {"": {"hour": "0.1"}, "swift": {"second": 1}},
            "gemini": {"gemini-3.8-flash": Price(provider="gemini", input=7, output=7)},
        }
    )
    assert cost(own.find("deepgram", "nova-3-medical", "stt"), seconds=60) == Decimal("0.0042")
    assert cost(own.find("acme", "slow", "stt"), seconds=3600) == Decimal("0.1")
    assert cost(own.find("acme", "swift", "stt"), seconds=2) == 2
    assert own.find("gemini", "gemini-3.8-flash", "llm", on=date(2026, 12, 1)).input == 7
    assert own.find("deepgram", "aura-2-thalia-en", "tts") == TABLE.find("deepgram", "aura-2-thalia-en", "tts")
    assert TABLE.find("acme", "swift", "stt") is None


def test_a_longer_row_of_the_table_counts_before_a_shorter_one_of_the_user_s():
    own = TABLE.with_overrides({"deepgram": {"": {"minute": 1}}})
    assert own.find("deepgram", "nova-3", "stt").hour == Decimal("0.288")
    assert own.find("deepgram", "nova-9", "stt").hour == 60


def test_a_table_of_one_s_own_in_a_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[[price]]\nprovider = "acme"\nhour = 0.1\nseen = "2026-11"\nsource = "our contract"\n')
    assert PriceTable.load(file).find("acme", "any", "stt").hour == Decimal("0.1")
    assert PriceTable.load(file).find("deepgram", "nova-3", "stt") is None


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"minuet": 1}, "a price has no minuet; it has input, output"),
        ({"minute": -1}, "from 0 on, not -1"),
        ({"minute": "cheap"}, "not 'cheap'"),
        ({"input": float("nan")}, "not nan"),
        ({"minute": 1, "hour": 1}, "give one of hour and minute"),
        ({"hour": 1, "role": "sts"}, "prices: acme swift: 'role'"),
        ({"hour": 1, "seen": "yesterday"}, "prices: acme swift: 'seen'"),
    ],
)
def test_a_price_that_makes_no_sense_is_refused(fields, says):
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        TABLE.with_overrides({"acme": {"swift": fields}})


def test_a_file_that_is_none_is_refused(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("price = ")
    with pytest.raises(ConfigurationError, match=r"mine\.toml"):
        PriceTable.load(file)
    file.write_text("price = 3")
    with pytest.raises(ConfigurationError, match=r"\[\[price\]\] tables"):
        PriceTable.load(file)
