"""Plivo's request signatures.

The expected values of V3 were made with HMAC-SHA256 over the documented message and accepted by Plivo's own validator.
"""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.carriers.plivo.signature import sign_v2, sign_v3, verify_webhook

TOKEN = "0123456789abcdefghijklmnopqrstuvwxyzABCD"
NONCE = "12345678901234567890"
FORM_TYPE = "application/x-www-form-urlencoded"
URL = "https://voice.example.com/plivo/answer"
FORM = [
    ("CallUUID", "f0d8e0c2-1111-2222-3333-444455556666"),
    ("Direction", "inbound"),
    ("From", "15005550001"),
    ("To", "15005550002"),
]

VECTORS = [
    ("GET", f"{URL}?b=2&a=1", [], "xGlWWWGI+CkXwqwELECWQLWygnCTKYqm05aJ5bpHrPE="),
    ("POST", URL, FORM, "3CJ3GbseRGiH1+tm92RVWXmksCazYvRUZdtEoi6wvjk="),
    ("POST", f"{URL}?tenant=acme", FORM, "wi1qcBmlDR3AIT0hR07IJDeZwetOuZXQ+jLodNTHpsM="),
    ("POST", f"{URL}?tenant=acme", [], "emncK8AnUUK9wLpIrHz+uih16sUk66IJjUoRy2CBPck="),
]


def verify(
    signature: str,
    method: str = "POST",
    url: str = URL,
    form: list[tuple[str, str]] = FORM,
    *,
    token: str = TOKEN,
    nonce: str = NONCE,
    header: str = "X-Plivo-Signature-V3",
    content_type: str = FORM_TYPE,
) -> bool:
    headers = {header: signature, "X-Plivo-Signature-V3-Nonce": nonce, "Content-Type": content_type}
    return verify_webhook(token, method, url, headers, urlencode(form).encode())


@pytest.mark.parametrize(("method", "url", "form", "signature"), VECTORS)
def test_the_vectors(method: str, url: str, form: list[tuple[str, str]], signature: str) -> None:
    assert sign_v3(TOKEN, method, url, NONCE, form) == signature
    assert verify(signature, method, url, form)
    assert verify(signature, method, url, form[::-1], content_type=f"{FORM_TYPE.upper()}; charset=UTF-8")


def test_any_of_several_signatures_and_of_either_header_will_do() -> None:
    good = VECTORS[1][3]
    assert verify(f"{'A' * 43}=, {good}")
    assert verify(good, header="x-plivo-signature-ma-v3")
    headers = {
        "x-plivo-signature-v3": "A" * 43 + "=",
        "x-plivo-signature-ma-v3": good,
        "x-plivo-signature-v3-nonce": NONCE,
        "content-type": FORM_TYPE,
    }
    assert verify_webhook(TOKEN, "POST", URL, headers, urlencode(FORM).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"form": [*FORM, ("Extra", "1")]},
        {"form": FORM[1:]},
        {"url": URL.replace("https", "http")},
        {"url": f"{URL}?tenant=evil"},
        {"url": URL + "/"},
        {"method": "GET"},
        {"token": "f" * 40},
        {"nonce": "12345678901234567891"},
        {"nonce": ""},
        {"signature": VECTORS[1][3].lower()},
        {"signature": ""},
        {"signature": ","},
        {"signature": "ünïcödé \ud800"},
        {"header": "X-Plivo-Signature-V2"},
        {"content_type": "application/json"},
    ],
)
def test_anything_else_is_refused(changes: dict[str, str]) -> None:
    """R63, A51: fails closed."""
    assert not verify(**{"signature": VECTORS[1][3], **changes})  # type: ignore[arg-type]


def test_an_empty_token_verifies_nothing() -> None:
    assert not verify(sign_v3("", "POST", URL, NONCE, FORM), token="")


def test_a_body_that_a_signature_would_not_cover_is_refused() -> None:
    unsigned_json = {"X-Plivo-Signature-V3": sign_v3(TOKEN, "POST", URL, NONCE), "X-Plivo-Signature-V3-Nonce": NONCE}
    assert verify_webhook(TOKEN, "POST", URL, unsigned_json, b"")
    assert not verify_webhook(TOKEN, "POST", URL, unsigned_json, b'{"CallUUID": "evil"}')
    assert not verify_webhook(TOKEN, "POST", URL, unsigned_json | {"Content-Type": FORM_TYPE}, b"\xff\xfe=1")


def test_a_header_in_two_spellings_is_refused() -> None:
    good = VECTORS[1][3]
    headers = {"X-Plivo-Signature-V3": good, "x-plivo-signature-v3": good, "X-Plivo-Signature-V3-Nonce": NONCE}
    assert not verify_webhook(TOKEN, "POST", URL, headers | {"Content-Type": FORM_TYPE}, urlencode(FORM).encode())


def test_a_flood_of_signatures_is_not_compared_to_its_end() -> None:
    assert not verify(",".join(["A"] * 5000 + [VECTORS[1][3]]))


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=6))
def test_every_form_that_is_signed_verifies(form: list[tuple[str, str]]) -> None:
    form = [(name, value.encode("utf-8", "ignore").decode()) for name, value in form]
    form = [(name.encode("utf-8", "ignore").decode(), value) for name, value in form]
    assert verify(sign_v3(TOKEN, "POST", URL, NONCE, form), form=form)


@given(st.text(max_size=20), st.text(max_size=60), st.text(max_size=40), st.binary(max_size=80))
def test_nothing_raises(method: str, url: str, header: str, body: bytes) -> None:
    headers = {"x-plivo-signature-v3": header, "x-plivo-signature-v3-nonce": header, "content-type": FORM_TYPE}
    assert not verify_webhook(TOKEN, method, url, headers, body)
    assert not verify_webhook(TOKEN, method, url, headers, body, version="v2")


# --- the older signature, of messages -----------------------------------------------------------------------------


def test_v2_covers_the_url_without_its_query_and_nothing_else() -> None:
    signature = sign_v2(TOKEN, f"{URL}?tenant=acme", NONCE)
    headers = {"X-Plivo-Signature-V2": signature, "X-Plivo-Signature-V2-Nonce": NONCE, "Content-Type": FORM_TYPE}

    assert signature == sign_v2(TOKEN, URL, NONCE)
    assert verify_webhook(TOKEN, "POST", URL, headers, b"Text=a", version="v2")
    assert verify_webhook(TOKEN, "POST", URL, headers, b"Text=b", version="v2")
    assert not verify_webhook(TOKEN, "POST", URL + "/x", headers, b"Text=a", version="v2")
    assert not verify_webhook(TOKEN, "POST", URL, headers, b"Text=a")
