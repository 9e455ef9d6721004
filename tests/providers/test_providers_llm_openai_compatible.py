"""The language-model provider against a real HTTP server."""

from __future__ import annotations

import gc
import json
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.lowlevel
import trio.testing
from fake_openai import Answer, FakeOpenAI, chunk, fake_openai, ordinary, sse

from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import LanguageModel, LlmEvent, LlmSession, Message, SessionContext, TextDelta, Usage
from callengine.providers.llm import OpenAICompatible

KEY = "sk-test-0123456789abcdef"
CONTEXT = SessionContext("call-1")
MESSAGES = [Message("system", "You answer calls."), Message("user", "Any table tonight?")]


def recipe(server: FakeOpenAI, **settings: Any) -> OpenAICompatible:
    return OpenAICompatible(server.base_url, "fake-model", KEY, **settings)


async def collect(session: LlmSession, heard: list[LlmEvent]) -> None:
    async with session.reply(MESSAGES) as events:
        async for event in events:
            heard.append(event)


async def ask(session: LlmSession) -> list[LlmEvent]:
    heard: list[LlmEvent] = []
    await collect(session, heard)
    return heard


@asynccontextmanager
async def serving(
    *answers: Answer, context: SessionContext = CONTEXT, **settings: Any
) -> AsyncIterator[tuple[FakeOpenAI, LlmSession]]:
    async with fake_openai(*answers) as server, recipe(server, **settings).open(context) as session:
        yield server, session


async def failure(*answers: Answer, **settings: Any) -> ProviderError:
    async with serving(*answers, **settings) as (_, session):
        with pytest.raises(ProviderError) as caught:
            await ask(session)
    assert KEY not in str(caught.value)
    return caught.value


def words(events: list[LlmEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def told(input_tokens: int, output_tokens: int) -> Usage:
    return Usage(provider="local", model="fake-model", input_tokens=input_tokens, output_tokens=output_tokens)


async def test_a_reply_is_text_and_what_it_cost_is_metered() -> None:
    model: LanguageModel = OpenAICompatible("http://127.0.0.1:1/v1", "m")
    assert model.name == "m at 127.0.0.1"
    bills: list[Usage] = []
    context = attrs.evolve(CONTEXT, meter=bills.append)
    async with serving(Answer([ordinary("Let me", " look.")]), context=context) as (_, session):
        assert await ask(session) == [TextDelta("Let me"), TextDelta(" look.")]
    assert bills == [told(12, 2)]


async def test_the_request_is_what_the_recipe_and_the_messages_say() -> None:
    settings = {"temperature": 0.3, "max_tokens": 300, "extra": {"reasoning_effort": "none"}}
    async with serving(Answer([ordinary("Yes.")]), **settings) as (server, session):
        await ask(session)
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "fake-model",
        "messages": [
            {"role": "system", "content": "You answer calls."},
            {"role": "user", "content": "Any table tonight?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.3,
        "max_tokens": 300,
        "reasoning_effort": "none",
    }


async def test_nothing_optional_is_sent_unasked() -> None:
    async with fake_openai(Answer([ordinary("Yes.")])) as server:
        async with OpenAICompatible(server.base_url + "/", "fake-model").open(CONTEXT) as session:
            await ask(session)
    assert "authorization" not in server.requests[0].headers
    assert set(server.requests[0].body) == {"model", "messages", "stream", "stream_options"}


def test_openai_itself_gets_the_newer_name_of_the_token_limit() -> None:
    body = OpenAICompatible("https://api.openai.com/v1", "m", max_tokens=50).body([])
    assert body["max_completion_tokens"] == 50
    assert "max_tokens" not in body


@pytest.mark.parametrize("pieces", [1, 2, 7, 64])
async def test_how_the_network_cuts_the_stream_makes_no_difference(pieces: int) -> None:
    async with serving(Answer([ordinary("Certo, il caffè", " è pronto 😀.")], pieces=pieces)) as (_, session):
        assert words(await ask(session)) == "Certo, il caffè è pronto 😀."


async def test_two_replies_share_one_connection() -> None:
    async with serving(Answer([ordinary("One.")]), Answer([ordinary("Two.")])) as (server, session):
        assert [words(await ask(session)) for _ in range(2)] == ["One.", "Two."]
        assert server.connections == 1
        assert server.open_connections == 1
    assert server.open_connections == 0


QUIRKS: dict[str, tuple[bytes, list[LlmEvent | Usage]]] = {
    "comments between events (OpenRouter)": (
        sse(": OPENROUTER PROCESSING", chunk("Hi."), ": OPENROUTER PROCESSING", chunk(finish="stop")),
        [TextDelta("Hi.")],
    ),
    "no usage, no [DONE]": (sse(chunk("Hi."), chunk(finish="stop"), done=False), [TextDelta("Hi.")]),
    "[DONE] without a finish reason": (sse(chunk("Hi.")), [TextDelta("Hi.")]),
    "no blank line at the end": (sse(chunk("Hi."), chunk(finish="stop")).rstrip(), [TextDelta("Hi.")]),
    "a preamble without choices (Azure)": (
        sse({"choices": [], "prompt_filter_results": []}, chunk("Hi.", finish="stop")),
        [TextDelta("Hi.")],
    ),
    "null and missing fields": (
        sse(
            {"choices": None},
            {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
            {"choices": [{"delta": {"role": "assistant", "content": None}}]},
            chunk("Hi.", finish="eos"),
        ),
        [TextDelta("Hi.")],
    ),
    "reasoning in its own fields": (
        sse(
            {"choices": [{"delta": {"reasoning": "Hmm", "reasoning_content": "Hmm", "content": ""}}]},
            chunk("Hi.", finish="stop"),
        ),
        [TextDelta("Hi.")],
    ),
    "inline thoughts of a local model": (
        sse(*(chunk(c) for c in "<think>Let me see.</think>\n\nHi <b>."), chunk(finish="stop")),
        [TextDelta(c) for c in "Hi <b>."],
    ),
    "text that only begins like a thought": (sse(chunk("<th"), chunk(finish="stop")), [TextDelta("<th")]),
    "usage with every chunk (vLLM)": (
        sse(
            chunk("Hi", usage={"prompt_tokens": 5, "completion_tokens": 1}),
            chunk(".", usage={"prompt_tokens": 5, "completion_tokens": 2}),
            chunk(finish="stop"),
        ),
        [TextDelta("Hi"), TextDelta("."), told(5, 2)],
    ),
    "usage under Groq's name": (
        sse(chunk("Hi.", finish="stop", x_groq={"id": "r", "usage": {"prompt_tokens": 5, "completion_tokens": 2}})),
        [TextDelta("Hi."), told(5, 2)],
    ),
    "timings and unknown fields": (
        sse(chunk("Hi.", finish="stop", timings={"x": 1}, time_info={}, obfuscation="aaa")),
        [TextDelta("Hi.")],
    ),
    "a refusal": (
        sse({"choices": [{"delta": {"refusal": "I cannot help with that."}, "finish_reason": "stop"}]}),
        [TextDelta("I cannot help with that.")],
    ),
    "cut by the token limit": (sse(chunk("Hi"), chunk(finish="length")), [TextDelta("Hi")]),
    "an empty reply": (sse(chunk(finish="stop")), []),
    "anything after [DONE]": (sse(chunk("Hi.", finish="stop")) + sse(chunk("No.")), [TextDelta("Hi.")]),
}


@pytest.mark.parametrize("name", QUIRKS)
@pytest.mark.parametrize("pieces", [1, 100_000])
async def test_quirks_of_servers(name: str, pieces: int) -> None:
    stream, expected = QUIRKS[name]
    bills: list[Usage] = []
    context = attrs.evolve(CONTEXT, meter=bills.append)
    async with serving(Answer([stream], pieces=pieces), context=context) as (_, session):
        events = await ask(session)
    assert [*events, *(bill for bill in bills if not bill.estimated)] == expected
    assert len(bills) == 1  # estimated where the server said nothing


@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_that_refuses_stream_options_is_asked_again_without_once(
    status: int,
) -> None:
    detail = {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs"}]}
    refusal = Answer([json.dumps(detail).encode()], status=status, content_type="application/json")
    stream = sse(chunk("Hi."), chunk(finish="stop"))
    async with serving(refusal, Answer([stream]), Answer([stream])) as (server, session):
        assert await ask(session) == [TextDelta("Hi.")]
        assert await ask(session) == [TextDelta("Hi.")]
    assert ["stream_options" in request.body for request in server.requests] == [True, False, False]


def error_body(message: str, code: object = None, kind: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "invalid_request_error", False),
        (401, "invalid_api_key", False),
        (402, 402, False),
        (403, None, False),
        (404, "model_not_found", False),
        (408, None, True),
        (409, None, True),
        (413, None, False),
        (422, None, False),
        (429, "rate_limit_exceeded", True),
        (429, "insufficient_quota", False),
        (498, "capacity_exceeded", True),
        (500, "server_error", True),
        (502, 502, True),
        (503, None, True),
        (504, None, True),
        (529, None, True),
    ],
)
async def test_the_status_says_whether_another_try_may_help(status: int, code: object, retryable: bool) -> None:
    body = error_body("The vendor's words.", code)
    error = await failure(Answer([body], status=status, content_type="application/json"))
    assert error.retryable is retryable
    assert f"HTTP {status}: The vendor's words." in str(error)
    assert error.provider == "fake-model at 127.0.0.1"


@pytest.mark.parametrize(("header", "retryable"), [("true", True), ("false", False)])
async def test_the_server_may_overrule_the_status(header: str, retryable: bool) -> None:
    status = 400 if retryable else 500
    error = await failure(Answer([error_body("x")], status=status, headers=[("x-should-retry", header)]))
    assert error.retryable is retryable


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b'{"error":"model not loaded"}', "application/json", "HTTP 404: model not loaded"),
        (b'{"object":"error","message":"no such model","code":404}', "application/json", "HTTP 404: no such model"),
        (b'{"detail":"Not Found"}', "application/json", "HTTP 404: Not Found"),
        (b"plain   words\n", "text/plain", "HTTP 404: plain words"),
        (b"<html><body>nginx</body></html>", "text/html", "HTTP 404"),
        (b"\xff\xfe" * 300_000, "text/plain", "HTTP 404: ��"),
    ],
)
async def test_error_bodies_of_any_shape(body: bytes, content_type: str, words: str) -> None:
    error = await failure(Answer([body], status=404, content_type=content_type))
    assert words in str(error)
    assert "<html>" not in str(error)
    assert len(str(error)) < 600


async def test_the_key_is_never_shown() -> None:
    error = await failure(Answer([error_body(f"Incorrect API key provided: {KEY}.")], status=401))
    assert "Incorrect API key provided: [key]." in str(error)
    configured = OpenAICompatible("https://api.example.com/v1", "m", KEY)
    assert KEY not in repr(configured)
    async with configured.open(CONTEXT) as session:
        assert KEY not in repr(vars(session))
    with pytest.raises(ConfigurationError) as caught:
        OpenAICompatible("https://api.example.com/v1", "m", KEY + "\nX: y")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("event", "retryable", "words"),
    [
        ({"error": {"message": "Overloaded", "type": "server_error", "code": None}}, True, "Overloaded"),
        ({"error": {"message": "No money", "code": 402}, **chunk(finish="error")}, False, "No money"),
        ({"error": {"message": "Slow down", "code": 429}}, True, "Slow down"),
        ({"error": {"message": "Empty", "code": "insufficient_quota"}}, False, "Empty"),
        ({"object": "error", "message": "Out of memory", "code": 500}, True, "Out of memory"),
        ({"error": "broken"}, True, "broken"),
        (chunk(finish="error"), True, "broke off"),
        ("data: {not json", True, "not JSON"),
    ],
)
async def test_an_error_inside_a_stream_comes_after_the_text_before_it(
    event: dict[str, Any] | str, retryable: bool, words: str
) -> None:
    async with serving(Answer([sse(chunk("One moment."), event, chunk("No."))])) as (_, session):
        heard: list[LlmEvent] = []
        with pytest.raises(ProviderError, match=words) as caught:
            await collect(session, heard)
    assert heard == [TextDelta("One moment.")]
    assert caught.value.retryable is retryable


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([sse(chunk("Hi."), done=False)], "ended in the middle"),
        ([sse(chunk("Hi."), done=False), "drop"], "connection failed"),
        (["drop"], "connection failed"),
    ],
)
async def test_a_stream_that_breaks_off_is_an_error(script: list[bytes | float | str], words: str) -> None:
    error = await failure(Answer(script))
    assert words in str(error)
    assert error.retryable


async def test_a_connection_that_drops_after_the_reply_has_ended_costs_nothing() -> None:
    stream = sse(chunk("Hi."), chunk(finish="stop"), done=False)
    async with serving(Answer([stream, "drop"])) as (_, session):
        assert await ask(session) == [TextDelta("Hi.")]


@pytest.mark.parametrize(
    ("reason", "words"), [("length", "token limit"), ("content_filter", "content filter")], ids=["length", "filter"]
)
async def test_a_reply_that_was_withheld_is_an_error_not_silence(reason: str, words: str) -> None:
    error = await failure(Answer([sse(chunk("<think>so"), chunk(finish=reason))]))
    assert words in str(error)
    assert not error.retryable


@pytest.mark.parametrize("content_type", ["text/html", "application/json"])
async def test_an_answer_that_is_no_stream_names_the_url(content_type: str) -> None:
    error = await failure(Answer([b"<html>Welcome</html>"], content_type=content_type))
    assert "base_url" in str(error)
    assert not error.retryable


async def test_an_error_may_come_with_status_200() -> None:
    error = await failure(Answer([error_body("Nope", "model_not_found")], content_type="application/json"))
    assert "Nope" in str(error)


async def test_nobody_listening_is_retryable() -> None:
    async with fake_openai(Answer()) as server:
        gone = recipe(server)
    async with gone.open(CONTEXT) as session:
        with pytest.raises(ProviderError, match="connection failed") as caught:
            await ask(session)
    assert caught.value.retryable


@pytest.fixture
def patient(autojump_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    """Virtual time that leaves the kernel a moment to move bytes between the two ends before it jumps."""
    autojump_clock.autojump_threshold = 0.02
    return autojump_clock


KEEP_ALIVE: list[bytes | float | str] = [b": ping\n\n", 1.0] * 60
REASONING: list[bytes | float | str] = [sse({"choices": [{"delta": {"reasoning": "hm"}}]}, done=False), 1.0] * 60


@pytest.mark.parametrize(
    "answer",
    [
        Answer([ordinary("Late.")], before_head=60),
        Answer([60.0, ordinary("Late.")]),
        Answer(KEEP_ALIVE),
        Answer(REASONING),
        Answer([60.0], status=500),
    ],
    ids=["no head", "no body", "only comments", "only reasoning", "no error body"],
)
async def test_the_first_word_has_a_deadline(answer: Answer, patient: trio.testing.MockClock) -> None:
    started = patient.current_time()
    error = await failure(answer, first_token=3.0)
    assert patient.current_time() - started == pytest.approx(3.0, abs=0.01)
    assert "no first word within 3 s" in str(error)
    assert error.retryable


@pytest.mark.parametrize("script", [[60.0], KEEP_ALIVE], ids=["silence", "comments"])
async def test_so_has_every_later_one(script: list[bytes | float | str], patient: trio.testing.MockClock) -> None:
    slow: list[bytes | float | str] = [sse(chunk("A"), done=False), 1.5, sse(chunk("B"), done=False), 1.5]
    started = patient.current_time()
    error = await failure(Answer([*slow, sse(chunk("C"), done=False), *script]), between_tokens=2.0)
    assert patient.current_time() - started == pytest.approx(5.0, abs=0.01)
    assert "nothing more came for 2 s" in str(error)


async def test_a_consumer_that_takes_its_time_is_not_a_slow_server(patient: trio.testing.MockClock) -> None:
    async with serving(Answer([ordinary("A", "B")]), first_token=1.0, between_tokens=1.0) as (_, session):
        heard = []
        async with session.reply(MESSAGES) as events:
            await trio.sleep(30)
            async for event in events:
                heard.append(event)
                await trio.sleep(30)
    assert words(heard) == "AB"
    assert patient.current_time() >= 90


async def test_figures_that_do_not_come_are_not_waited_for(patient: trio.testing.MockClock) -> None:
    async with serving(Answer([sse(chunk("Hi.", finish="stop"), done=False), "hang"])) as (_, session):
        started = patient.current_time()
        assert await ask(session) == [TextDelta("Hi.")]
        assert patient.current_time() - started < 1.2


async def test_connecting_has_a_deadline(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async def never(*_: object, **__: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(trio, "open_tcp_stream", never)  # a host that drops every packet
    started = autojump_clock.current_time()
    async with OpenAICompatible("http://127.0.0.1:9/v1", "m", connect=2.0).open(CONTEXT) as session:
        with pytest.raises(ProviderError, match="timed out") as caught:
            await ask(session)
    assert autojump_clock.current_time() - started == pytest.approx(2.0)
    assert caught.value.retryable


async def leave_early(session: LlmSession) -> None:
    async with session.reply(MESSAGES) as events:
        async for _ in events:
            return


async def cancel_while_reading(session: LlmSession) -> None:
    with trio.CancelScope() as scope:
        async with session.reply(MESSAGES) as events:
            async for _ in events:
                scope.cancel()


async def cancel_while_holding_text(session: LlmSession) -> None:
    with trio.CancelScope() as scope:
        async with session.reply(MESSAGES) as events:
            await anext(events)
            scope.cancel()
            await trio.sleep_forever()


async def cancel_before_the_head(session: LlmSession) -> None:
    with trio.move_on_after(0.05):
        await ask(session)


@pytest.mark.parametrize(
    ("leave", "answer"),
    [
        (leave_early, Answer([sse(chunk("A"), chunk("B"), done=False), "hang"])),
        (cancel_while_reading, Answer([sse(chunk("A"), done=False), "hang"])),
        (cancel_while_holding_text, Answer([sse(chunk("A"), chunk("B"), done=False), "hang"])),
        (cancel_before_the_head, Answer([b"x"], before_head=0.2)),
    ],
    ids=["left early", "cancelled while reading", "cancelled while holding text", "cancelled before the head"],
)
async def test_leaving_closes_the_stream_at_once_and_leaves_nothing_behind(
    leave: Callable[[LlmSession], Any],
    answer: Answer,
    patient: trio.testing.MockClock,
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with serving(answer, Answer([ordinary("Next.")])) as (server, session):
            await trio.testing.wait_all_tasks_blocked()
            before = trio.lowlevel.current_statistics().tasks_living
            await leave(session)
            with trio.fail_after(5):
                await server.all_closed()
            gc.collect()
            await trio.testing.wait_all_tasks_blocked()
            assert trio.lowlevel.current_statistics().tasks_living == before
            assert words(await ask(session)) == "Next."  # and the session is still good
            assert server.connections == 2
    assert not [str(w.message) for w in caught if "garbage collected" in str(w.message)]


async def test_without_an_engine_leaving_the_session_closes_its_connections() -> None:
    async with fake_openai(Answer([ordinary("Hi.")])) as server:
        async with recipe(server).open(CONTEXT) as session:
            await ask(session)
            assert server.open_connections == 1
        with trio.fail_after(5):
            while server.open_connections:
                await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "api.example.com/v1"},
        {"base_url": "ftp://api.example.com"},
        {"base_url": "https://user:pw@api.example.com/v1"},
        {"base_url": "https://api.example.com:port/v1"},
        {"base_url": ""},
        {"model": " "},
        {"api_key": "sk with space"},
        {"api_key": "ключ"},
        {"first_token": 0},
        {"between_tokens": -1},
        {"connect": 0},
        {"max_tokens": 0},
    ],
)
def test_values_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        OpenAICompatible(**{"base_url": "https://api.example.com/v1", "model": "m", **settings})


def test_recipes_are_values() -> None:
    one = OpenAICompatible("https://api.example.com/v1/", "m", f" {KEY}\n")
    assert one == OpenAICompatible("https://api.example.com/v1", "m", KEY)
    assert OpenAICompatible("https://api.example.com/v1", "m", "").api_key is None
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.model = "other"  # type: ignore[misc]  # that this fails is the point
