"""What failed requests mean, and that no key is ever in their words."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.errors import ProviderError
from callengine.wire.failures import Failures, error_object, retry_after, retryable_status

KEY = "sk-wire-0123456789/abc+def=="

KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=80).map("K".__add__)
"""Printable ASCII without spaces: what `key_field` lets through. Nothing else here has a capital K."""
WORDS = st.text(st.characters(exclude_characters="K", exclude_categories=["Cs"]), max_size=30)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type", "detail", "object", "choices"]) | st.text(),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


def failure(status: int, body: object, key: str = KEY, **headers: str) -> ProviderError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Failures("acme", key).from_response(status, headers, data)


# --- what it means ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 425, 429, 498, 500, 502, 503, 504, 520, 529])
def test_statuses_that_may_be_better_later(status: int) -> None:
    assert retryable_status(status)
    assert failure(status, {}).fault == "retry"


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 405, 413, 415, 422])
def test_statuses_that_stay_as_they_are(status: int) -> None:
    assert not retryable_status(status)
    assert failure(status, {}).fault == "fatal"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "no such model", "code": "x"}}, "no such model"),
        ({"error": {"code": "rate_limited"}}, "rate_limited"),
        ({"error": {"type": "overloaded_error"}}, "overloaded_error"),
        ({"error": "out of memory"}, "out of memory"),
        ({"object": "error", "message": "old server"}, "old server"),
        ({"detail": "Not authenticated"}, "Not authenticated"),
        ({"detail": [{"loc": ["body"], "msg": "wrong"}]}, '[{"loc": ["body"], "msg": "wrong"}]'),
        (b"upstream is away", "upstream is away"),
        (b"\xff\xfe broken", "\ufffd\ufffd broken"),
    ],
)
def test_the_vendor_s_words_are_in_the_message(body: object, words: str) -> None:
    assert str(failure(503, body)) == f"acme: HTTP 503: {words}"


def test_a_page_of_html_is_left_out() -> None:
    assert str(failure(502, b"<html>Bad gateway", **{"content-type": "text/html; charset=utf-8"})) == "acme: HTTP 502"


def test_an_account_without_money_stays_so_although_the_status_is_429() -> None:
    assert failure(429, {"error": {"code": "insufficient_quota"}}).fault == "fatal"
    assert failure(429, {"error": {"type": "tokens"}}).fault == "retry"


def test_the_vendor_s_own_advice_comes_before_the_status() -> None:
    assert failure(500, {}, **{"x-should-retry": "false"}).fault == "fatal"
    assert failure(400, {}, **{"x-should-retry": "true"}).fault == "retry"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("7", 7.0), ("0.25", 0.25), ("61", 60.0), ("1e9", 60.0), ("-1", None), ("soon", None), ("", None)],
)
def test_how_long_the_vendor_wants_us_to_wait(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}) == seconds
    assert failure(429, {}, **{"retry-after": text}).retry_after == seconds


@given(st.text())
def test_any_retry_after_is_a_bounded_pause_or_none(text: str) -> None:
    pause = retry_after({"retry-after": text})
    assert pause is None or 0.0 <= pause <= 60.0


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        ({"message": "busy"}, "retry"),
        ({"code": 400, "message": "bad"}, "fatal"),
        ({"code": 502, "message": "upstream"}, "retry"),
        ({"type": "invalid_request_error"}, "fatal"),
        ({"type": "overloaded_error"}, "retry"),
        ({}, "retry"),
    ],
)
def test_an_error_inside_a_stream(error: dict[str, Any], fault: str) -> None:
    assert Failures("acme").from_stream(error).fault == fault


@given(ANYTHING)
def test_whatever_a_body_says_it_is_a_provider_error(value: Any) -> None:
    for status in (200, 400, 429, 503):
        error = failure(status, value)
        assert error.fault in ("fatal", "retry")
        assert len(str(error)) < 600
    found = error_object(value)
    if found is not None:
        assert Failures("acme").from_stream(found).fault in ("fatal", "retry")


@given(st.binary(max_size=300), st.integers(100, 999))
def test_whatever_bytes_come_it_is_a_provider_error(body: bytes, status: int) -> None:
    assert failure(status, body).provider == "acme"


def test_a_message_is_one_line_of_bounded_length() -> None:
    error = Failures("acme").make("a\n\n b\t" + "x" * 10_000)
    assert str(error).startswith("acme: a b xxx")
    assert len(str(error)) < 520


# --- closes -----------------------------------------------------------------------------------------------------------


def test_closes_mean_what_the_vendor_says_and_else_what_the_standard_says() -> None:
    failures = Failures("acme", closes={1008: "reopen", 4001: "fatal"})
    faults = {code: failures.closed(code, "").fault for code in (1000, 1001, 1003, 1006, 1007, 1008, 1011, 4000, 4001)}
    assert faults == {
        1000: "reopen", 1001: "reopen", 1003: "fatal", 1006: "retry", 1007: "fatal", 1008: "reopen", 1011: "retry",
        4000: "retry", 4001: "fatal",
    }  # fmt: skip


@given(st.integers(0, 65_535), st.text(max_size=123))
def test_any_close_is_a_provider_error(code: int, reason: str) -> None:
    assert str(code) in str(Failures("acme", KEY).closed(code, reason))


# --- keys -------------------------------------------------------------------------------------------------------------


@given(KEYS, WORDS, WORDS)
def test_no_key_is_in_any_message(key: str, before: str, after: str) -> None:
    said = f"{before}{key}{after}"
    failures = Failures("acme", key)
    for error in (
        failures.make(said),
        failures.closed(1008, said),
        failures.from_response(401, {}, said.encode()),
        failures.from_response(401, {}, json.dumps({"error": {"message": said}}).encode()),
        failures.from_response(401, {}, json.dumps({"detail": [{"input": said}]}).encode()),
        failures.from_stream({"message": said}),
    ):
        assert key not in str(error)


@given(KEYS)
def test_no_key_is_in_any_message_where_a_url_has_it(key: str) -> None:
    written = quote(key, safe="")
    assert written not in str(Failures("acme", key).make(f"cannot open wss://acme.test/v1?token={written}&a=b"))


@given(st.text("ab", min_size=4, max_size=8), st.text("ab", min_size=4, max_size=8))
def test_of_several_secrets_none_is_in_a_message_however_they_overlap(one: str, other: str) -> None:
    error = Failures("acme", one, other).make(f"{one} {other} {one}{other}")
    assert one not in str(error)
    assert other not in str(error)


def test_a_key_at_the_end_of_what_is_kept_is_not_cut_in_two() -> None:
    error = Failures("acme", KEY).make("x" * (500 - len(KEY) // 2) + KEY)
    assert KEY[:8] not in str(error)


def test_a_key_that_is_not_there_replaces_nothing() -> None:
    assert str(Failures("acme", None, "").make("plain words")) == "acme: plain words"
