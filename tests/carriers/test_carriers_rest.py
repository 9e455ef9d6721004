"""Requests to a carrier's API: when they are repeated, how long that takes, and what their errors may say."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest
import trio
import trio.testing

from callengine.carriers.rest import Problem, Rest, check_api_url, default_fault, error_object
from callengine.errors import CarrierError, ConfigurationError

KEY = "k3y-0123456789abcdef"
NUMBER = "+15005550001"


def read_problem(response: httpx.Response) -> Problem:
    body = error_object(response)
    return Problem(
        default_fault(response.status_code), str(body.get("message", "no reason")), str(body.get("code", ""))
    )


class Api:
    """Gives these answers, one after the other; the last one for ever. Keeps what it was asked, and when."""

    def __init__(self, *answers: httpx.Response | Callable[[httpx.Request], httpx.Response]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[float, httpx.Request]] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((trio.current_time(), request))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        await trio.lowlevel.checkpoint()
        return answer(request) if callable(answer) else answer

    def rest(self, *, chance: float = 0.0, **settings: object) -> Rest:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self))
        settings = {"auth": ("account", KEY), "read_problem": read_problem, "chance": lambda: chance} | settings
        return Rest("acme", http, "https://api.example.com/v1/", **settings)  # type: ignore[arg-type]

    @property
    def times(self) -> list[float]:
        return [time - self.asked[0][0] for time, _ in self.asked]


def lost(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"cannot reach {request.url}", request=request)


async def failure(rest: Rest, *, repeatable: bool = False) -> CarrierError:
    with pytest.raises(CarrierError) as caught:
        await rest.request("POST", "/calls", form=[("To", NUMBER)], repeatable=repeatable)
    return caught.value


# --- one request --------------------------------------------------------------------------------------------------


async def test_a_form_with_its_credentials() -> None:
    api = Api(httpx.Response(201, json={"sid": "1"}))

    answer = await api.rest().request("POST", "/calls", form=[("To", NUMBER), ("Event", "a b"), ("Event", "é")])

    request = api.asked[0][1]
    assert answer == {"sid": "1"}
    assert (request.method, str(request.url)) == ("POST", "https://api.example.com/v1/calls")
    assert request.content == b"To=%2B15005550001&Event=a+b&Event=%C3%A9"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["authorization"] == httpx.BasicAuth("account", KEY)._auth_header


async def test_json_a_query_and_headers() -> None:
    api = Api(httpx.Response(200, json=[1]))
    rest = api.rest(auth=None, headers={"authorization": f"Bearer {KEY}"})

    assert await rest.request("PATCH", "/x", json={"to": NUMBER}, query=[("page", "2")]) == [1]

    request = api.asked[0][1]
    assert str(request.url) == "https://api.example.com/v1/x?page=2"
    assert json.loads(request.content) == {"to": NUMBER}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == f"Bearer {KEY}"


async def test_an_answer_without_a_body_is_none() -> None:
    assert await Api(httpx.Response(204)).rest().request("DELETE", "/x") is None


async def test_half_a_surrogate_pair_does_not_stop_a_message() -> None:
    api = Api(httpx.Response(200))
    await api.rest().request("POST", "/m", form=[("Body", "a\ud800b")])
    await api.rest().request("POST", "/m", json={"text": "a\ud800b"})

    assert api.asked[0][1].content == b"Body=a%3Fb"
    assert json.loads(api.asked[1][1].content) == {"text": "a\ud800b"}


async def test_a_redirect_is_not_followed() -> None:
    api = Api(httpx.Response(302, headers={"location": "https://elsewhere.example.com/"}))
    assert (await failure(api.rest())).fault == "rejected"
    assert len(api.asked) == 1


# --- when, and how often ------------------------------------------------------------------------------------------


async def test_too_many_requests_are_repeated_after_1_2_and_4_seconds(autojump_clock: trio.testing.MockClock) -> None:
    api = Api(httpx.Response(429))

    error = await failure(api.rest())

    assert error.fault == "rate"
    assert api.times == [0.0, 1.0, 3.0, 7.0]


async def test_chance_makes_pauses_longer_by_a_quarter_at_most(autojump_clock: trio.testing.MockClock) -> None:
    api = Api(httpx.Response(429))
    await failure(api.rest(chance=1.0))
    assert api.times == [0.0, 1.25, 3.75, 8.75]


async def test_a_request_that_is_taken_in_the_end_has_its_answer(autojump_clock: trio.testing.MockClock) -> None:
    api = Api(httpx.Response(429), httpx.Response(429), httpx.Response(201, json={"sid": "1"}))
    assert await api.rest().request("POST", "/calls", form=[]) == {"sid": "1"}
    assert api.times == [0.0, 1.0, 3.0]


@pytest.mark.parametrize(
    ("retry_after", "times"),
    [
        ("0", [0.0, 0.0]),
        ("2.5", [0.0, 2.5]),
        ("15", [0.0, 15.0]),
        ("-3", [0.0, 0.0]),
        ("nan", [0.0, 1.0]),
        ("Wed, 21 Oct 2026 07:28:00 GMT", [0.0, 1.0]),
        ("", [0.0, 1.0]),
    ],
)
async def test_the_carrier_says_when_to_come_back(
    autojump_clock: trio.testing.MockClock, retry_after: str, times: list[float]
) -> None:
    api = Api(httpx.Response(429, headers={"retry-after": retry_after}), httpx.Response(200))
    await api.rest().request("POST", "/calls", form=[])
    assert api.times == times


@pytest.mark.parametrize("retry_after", ["16", "86400", "inf", "1e308"])
async def test_nobody_waits_longer_than_15_seconds(autojump_clock: trio.testing.MockClock, retry_after: str) -> None:
    api = Api(httpx.Response(429, headers={"retry-after": retry_after}))
    assert (await failure(api.rest())).fault == "rate"
    assert api.times == [0.0]


@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.Response(503, headers={"retry-after": "1"}), lost])
async def test_what_may_have_been_done_is_not_repeated(
    autojump_clock: trio.testing.MockClock, answer: httpx.Response | Callable[[httpx.Request], httpx.Response]
) -> None:
    api = Api(answer)
    assert (await failure(api.rest())).fault == "unavailable"
    assert api.times == [0.0]


@pytest.mark.parametrize("answer", [httpx.Response(502), lost])
async def test_what_is_the_same_done_twice_is_repeated(
    autojump_clock: trio.testing.MockClock, answer: httpx.Response | Callable[[httpx.Request], httpx.Response]
) -> None:
    api = Api(answer)
    assert (await failure(api.rest(), repeatable=True)).fault == "unavailable"
    assert api.times == [0.0, 1.0, 3.0, 7.0]


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422])
async def test_a_refusal_is_final(autojump_clock: trio.testing.MockClock, status: int) -> None:
    api = Api(httpx.Response(status))
    await failure(api.rest(), repeatable=True)
    assert api.times == [0.0]


async def test_no_answer_in_time_is_not_repeated(autojump_clock: trio.testing.MockClock) -> None:
    async def silent(_: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        raise AssertionError

    http = httpx.AsyncClient(transport=httpx.MockTransport(silent), timeout=3.0)
    rest = Rest("acme", http, "https://api.example.com", read_problem=read_problem)
    start = trio.current_time()

    error = await failure(rest)

    assert (error.fault, str(error)) == ("unavailable", "acme: no answer within 10 s")
    assert trio.current_time() - start == 10.0


async def test_the_clients_own_time_limits_do_not_count() -> None:
    api = Api(httpx.Response(200))
    await api.rest().request("GET", "/x")
    assert api.asked[0][1].extensions["timeout"] == {"connect": None, "read": None, "write": None, "pool": None}


async def test_attempts_and_the_time_of_one_are_settings(autojump_clock: trio.testing.MockClock) -> None:
    api = Api(httpx.Response(429))
    await failure(api.rest(attempts=2))
    assert api.times == [0.0, 1.0]

    async def silent(_: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        raise AssertionError

    http = httpx.AsyncClient(transport=httpx.MockTransport(silent))
    rest = Rest("acme", http, "https://api.example.com", read_problem=read_problem, timeout=2.5)
    start = trio.current_time()
    await failure(rest)
    assert trio.current_time() - start == 2.5


async def test_who_gives_up_waits_for_nothing(autojump_clock: trio.testing.MockClock) -> None:
    api = Api(httpx.Response(429))
    with trio.move_on_after(2.0) as patience:
        await api.rest().request("POST", "/calls", form=[])
    assert patience.cancelled_caught
    assert api.times == [0.0, 1.0]


# --- what errors say ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (400, "rejected"),
        (401, "configuration"),
        (403, "configuration"),
        (404, "gone"),
        (422, "rejected"),
        (500, "unavailable"),
    ],
)
async def test_whose_fault_a_status_is(status: int, fault: str) -> None:
    assert (await failure(Api(httpx.Response(status)).rest())).fault == fault


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body><h1>502 Bad Gateway</h1></body></html>",
        b"",
        b"\xff\xfe",
        b"[1, 2]",
        b"null",
        b"[" * 100_000,
        b'{"message": {"deep": []}}',
    ],
)
async def test_an_error_body_may_be_anything(body: bytes) -> None:
    error = await failure(Api(httpx.Response(400, content=body)).rest())
    assert error.fault == "rejected"
    assert len(str(error)) < 400


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, b"\xff"])
async def test_a_success_that_cannot_be_read_is_an_error(body: bytes) -> None:
    error = await failure(Api(httpx.Response(200, content=body)).rest())
    assert (error.fault, str(error)) == ("unavailable", "acme: an answer that is not JSON")


async def test_no_key_and_no_number_stands_in_an_error() -> None:
    message = f"The 'To' number {NUMBER}\r\n(or 500-555-0001) is bad for {KEY}"
    answer = httpx.Response(400, json={"message": message, "code": 21211})

    error = await failure(Api(answer).rest())

    assert str(error) == "acme: The 'To' number +•••0001 (or •••0001) is bad for *** (21211)"
    assert error.code == "21211"


async def test_no_bearer_key_stands_in_an_error() -> None:
    answer = httpx.Response(400, json={"message": f"key {KEY} is old", "code": KEY})
    error = await failure(Api(answer).rest(auth=None, headers={"authorization": f"Bearer {KEY}"}))
    assert str(error) == "acme: key *** is old (***)"


async def test_a_lost_connection_names_no_address() -> None:
    error = await failure(Api(lost).rest())
    assert str(error) == "acme: no answer (ConnectError)"
    assert error.__cause__ is None
    assert "example" not in repr(error)


# --- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["https://api.example.com", "https://api.example.com:8443/v1", "http://127.0.0.1:8080", "http://[::1]/v1"]
)
def test_addresses_that_passwords_may_go_to(url: str) -> None:
    assert check_api_url(f"{url}/", "Acme(api_url=...)") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost@example.com",
        "https://user:secret@api.example.com",
        "https://api.example.com?x=1",
        "api.example.com",
        "ftp://api.example.com",
        "https://",
        "",
    ],
)
def test_addresses_that_they_may_not(url: str) -> None:
    with pytest.raises(ConfigurationError, match="Acme") as caught:
        check_api_url(url, "Acme(api_url=...)")
    assert "secret" not in str(caught.value)
