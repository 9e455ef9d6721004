"""What must hold for every language model, against its simulated vendor."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest
import trio
import trio.testing
from cases import Told
from language_talk import ASKED, FOUR, PAIRS, TOOLS, Pair, ask, calls, words

from callengine.brain.agent import Agent
from callengine.errors import ConfigurationError, ProviderError
from callengine.ports import LanguageModel, LlmEvent, Message, Parkable, Prewarmed, Probed, ToolCall
from callengine.testing.lab import CallLab
from callengine.testing.vendors import Answer, in_memory, on_loopback
from callengine.testing.vendors.language_models import FakeLanguageModel
from callengine.wire import open_wire

every = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
each_protocol = pytest.mark.parametrize("pair", FOUR, ids=lambda pair: pair.name)

CALL = ToolCall("toolu_1", "find_table", '{"size": 2}')
OTHER_CALL = ToolCall("toolu_2", "opening_hours", "{}")


def made(pair: Pair, **settings: Any) -> tuple[FakeLanguageModel, Any]:
    vendor = pair.vendor()
    return vendor, pair.recipe(**{"api_key": vendor.key, **settings})


@every
@pytest.mark.parametrize("chunk", [None, 1], ids=["whole", "byte by byte"])
async def test_a_reply_is_its_text_and_then_its_calls(
    pair: Pair, chunk: int | None, autojump_clock: trio.testing.MockClock
) -> None:
    vendor, recipe = made(pair)
    vendor.faults.chunk = chunk
    vendor.replies("Un caffè, let me", " look. 😀", CALL, OTHER_CALL)
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        events = await ask(session, ASKED, TOOLS)
    assert words(events) == "Un caffè, let me look. 😀"
    assert calls(events) == [("find_table", '{"size": 2}'), ("opening_hours", "{}")]
    ids = [event.id for event in events if isinstance(event, ToolCall)]
    assert ids == ["toolu_1", "toolu_2"]


@every
async def test_results_and_errors_go_back_in_the_vendors_shape(
    pair: Pair, autojump_clock: trio.testing.MockClock
) -> None:
    """R33, R40: calls that were made at once and their results are history that every vendor takes, as what it was."""
    vendor, recipe = made(pair)
    vendor.replies("Let me look.", CALL, OTHER_CALL)
    vendor.replies("We have one at seven.")
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        first = await ask(session, ASKED, TOOLS)
        made_calls = tuple(event for event in first if isinstance(event, ToolCall))
        history = [
            *ASKED,
            Message("assistant", words(first), made_calls),
            Message("tool", '{"free": ["19:00"]}', tool_call_id=made_calls[0].id),
            Message("tool", "the calendar is down", tool_call_id=made_calls[1].id, failed=True),
        ]
        assert words(await ask(session, history, TOOLS)) == "We have one at seven."
    sent = json.dumps(vendor.asked[-1])
    assert sent.count("19:00") == sent.count("the calendar is down") == 1
    assert "error" in sent
    assert not vendor.complaints


UNUSUAL: dict[str, list[Message]] = {
    "a greeting first": [
        Message("system", "Be brief."),
        Message("assistant", "Hello, this is Acme."),
        Message("user", "Hi."),
    ],
    "only instructions": [Message("system", "Greet the caller.")],
    "the agent spoke last": [*ASKED, Message("assistant", "We do. ")],
    "one side twice": [*ASKED, Message("user", "Hello?"), Message("assistant", "Yes."), Message("assistant", "One.")],
    "empty messages": [*ASKED, Message("assistant", ""), Message("user", "  "), Message("user", "Hello?")],
    "instructions in the middle": [*ASKED, Message("system", "He is a member."), Message("user", "And?")],
    "a call without text": [*ASKED, Message("assistant", "", (CALL,)), Message("tool", "[7]", tool_call_id=CALL.id)],
    "an empty result": [*ASKED, Message("assistant", "", (CALL,)), Message("tool", "", tool_call_id=CALL.id)],
    "a call without its result": [*ASKED, Message("assistant", "Yes.", (CALL,)), Message("user", "Stop.")],
    "a result without its call": [*ASKED, Message("tool", "7", tool_call_id="gone"), Message("user", "And?")],
    "results in another order": [
        *ASKED,
        Message("assistant", "", (CALL, OTHER_CALL)),
        Message("tool", "9 to 5", tool_call_id=OTHER_CALL.id),
        Message("tool", "none", tool_call_id=CALL.id),
        Message("user", "And?"),
    ],
    "arguments that are no object": [
        *ASKED,
        Message(
            "assistant", "", (attrs.evolve(CALL, arguments='{"size": '), attrs.evolve(OTHER_CALL, arguments="[1]"))
        ),
        Message("tool", "malformed", tool_call_id=CALL.id, failed=True),
        Message("tool", "malformed", tool_call_id=OTHER_CALL.id, failed=True),
    ],
    "another vendor's call": [
        *ASKED,
        Message("assistant", "", (ToolCall("functions.f:0", "find_table", "{}", ("other", {"sealed": 1})),)),
        Message("tool", "none", tool_call_id="functions.f:0"),
    ],
}


@pytest.mark.parametrize("name", UNUSUAL)
@every
async def test_every_conversation_that_a_call_can_have_is_taken(
    pair: Pair, name: str, autojump_clock: trio.testing.MockClock
) -> None:
    vendor, recipe = made(pair)
    vendor.replies("Yes.")
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        assert words(await ask(session, UNUSUAL[name], TOOLS)) == "Yes."


@every
async def test_ids_that_a_vendor_leaves_out_or_repeats_are_made_up(
    pair: Pair, autojump_clock: trio.testing.MockClock
) -> None:
    vendor, recipe = made(pair)
    earlier = [*ASKED, Message("assistant", "", (CALL,)), Message("tool", "none", tool_call_id=CALL.id)]
    vendor.replies(attrs.evolve(CALL, id=""), attrs.evolve(OTHER_CALL, id=CALL.id))
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        events = await ask(session, earlier, TOOLS)
    ids = [event.id for event in events if isinstance(event, ToolCall)]
    assert len({*ids, CALL.id}) == 3
    assert all(ids)


@every
async def test_what_a_reply_cost_is_the_vendors_figure(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    vendor, recipe = made(pair)
    vendor.figures = attrs.evolve(vendor.figures, reasoning=0 if pair.name == "anthropic" else 7)
    async with in_memory(vendor) as wire:
        told = Told()
        async with recipe.open(told.context(wire)) as session:
            await ask(session)
    (usage,) = told.usage
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (412, 256, 18)
    assert usage.reasoning_tokens == vendor.figures.reasoning
    assert (usage.model, usage.estimated) == (recipe.model, False)
    providers = {"responses": "openai", "vllm": "local", "llama.cpp": "local"}
    assert usage.provider == providers.get(pair.name, pair.name)


@every
async def test_a_cost_that_is_not_told_is_estimated(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    vendor, recipe = made(pair)
    vendor.figures = None
    vendor.replies("x" * 40)
    async with in_memory(vendor) as wire:
        told = Told()
        async with recipe.open(told.context(wire)) as session:
            await ask(session)
    (usage,) = told.usage
    assert usage.estimated
    assert usage.input_tokens == 11  # 44 characters were asked
    assert usage.output_tokens == 10


@every
async def test_a_reply_that_is_left_early_is_estimated_and_its_connection_closed(
    pair: Pair, autojump_clock: trio.testing.MockClock
) -> None:
    vendor, recipe = made(pair)
    vendor.faults.chunk_delay = 0.1
    vendor.replies("one two three four five six seven eight nine ten")
    async with in_memory(vendor) as wire:
        told = Told()
        async with recipe.open(told.context(wire)) as session:
            with trio.CancelScope() as scope:
                async with session.reply(ASKED) as reply:
                    async for _ in reply:
                        scope.cancel()
            assert [usage.estimated for usage in told.usage] == [True]
            assert 0 < told.usage[0].output_tokens < 18 or pair.name == "vllm"
            await trio.sleep(0.3)
            assert vendor.connections == 0  # it noticed at its next word
            assert words(await ask(session))  # and the session is still good


@every
async def test_replies_share_the_pools_connection(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    vendor, recipe = made(pair)
    async with in_memory(vendor) as wire:
        async with recipe.open(Told().context(wire)) as session, recipe.open(Told().context(wire)) as other:
            await session.prewarm()
            assert vendor.asked == []
            for speaker in (session, other, session):
                await ask(speaker)
        assert vendor.connected == vendor.connections == 1


@every
async def test_a_probe_says_whether_the_key_is_taken(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    vendor, recipe = made(pair)
    async with in_memory(vendor) as wire:
        await recipe.probe(wire)
        vendor.refuse(503)
        with pytest.raises(ProviderError) as caught:
            await recipe.probe(wire)
        assert caught.value.fault == "retry"
        vendor.faults.answer_delay = 60
        with pytest.raises(ProviderError, match="no answer within 10 s"):
            await recipe.probe(wire)
        vendor.faults.answer_delay = 0
        if pair.name != "ollama":
            wrong = pair.recipe(api_key="another-wrong-key")
            with pytest.raises(ProviderError) as caught:
                await wrong.probe(wire)
            assert caught.value.fault == "fatal"
            assert "another-wrong-key" not in str(caught.value)
    assert vendor.asked == []


FAULTS = {
    400: "fatal",
    401: "fatal",
    402: "fatal",
    403: "fatal",
    404: "fatal",
    408: "retry",
    409: "retry",
    413: "fatal",
    429: "retry",
    500: "retry",
    502: "retry",
    503: "retry",
    504: "retry",
    529: "retry",
}


@pytest.mark.parametrize("status", FAULTS)
@each_protocol
async def test_a_refusal_says_what_helps_and_costs_nothing(
    pair: Pair, status: int, autojump_clock: trio.testing.MockClock
) -> None:
    vendor, recipe = made(pair)
    vendor.refuse(status, f"The vendor's words about {vendor.key}.", **{"retry-after": "3"})
    async with in_memory(vendor) as wire:
        told = Told()
        async with recipe.open(told.context(wire)) as session:
            with pytest.raises(ProviderError, match="The vendor's words about \\[key\\]") as caught:
                await ask(session)
            assert caught.value.fault == FAULTS[status]
            assert caught.value.retry_after == 3
            assert told.usage == []
            assert words(await ask(session))


@each_protocol
async def test_a_vendor_that_cannot_be_reached_costs_nothing_either(
    pair: Pair, autojump_clock: trio.testing.MockClock
) -> None:
    vendor, recipe = made(pair)
    vendor.faults.unreachable = 1
    async with in_memory(vendor) as wire:
        told = Told()
        async with recipe.open(told.context(wire)) as session:
            with pytest.raises(ProviderError, match="connection failed") as caught:
                await ask(session)
            assert caught.value.fault == "retry"
            assert told.usage == []
            assert words(await ask(session))


@each_protocol
@pytest.mark.parametrize("where", ["the head", "the body"])
async def test_the_first_word_has_a_bound(pair: Pair, where: str, autojump_clock: trio.testing.MockClock) -> None:
    vendor, recipe = made(pair, first_token=3.0)
    if where == "the head":
        vendor.faults.answer_delay = 60
    else:
        vendor.faults.chunk_delay = 60
    async with in_memory(vendor) as wire:
        told = Told()
        async with recipe.open(told.context(wire)) as session:
            started = trio.current_time()
            with pytest.raises(ProviderError, match="no first word within 3 s") as caught:
                await ask(session)
            assert trio.current_time() - started == pytest.approx(3.0)
        assert caught.value.fault == "retry"
        assert [(usage.estimated, usage.output_tokens) for usage in told.usage] == [(True, 0)]  # it took the request
        vendor.break_all()


@each_protocol
async def test_so_has_each_later_one(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    vendor, recipe = made(pair, between_tokens=2.0)
    keep_alive = [b": nothing\n\n", b'event: ping\ndata: {"type": "ping"}\n\n'] * 10
    vendor.replies("one", " two", *keep_alive, " three")
    vendor.faults.chunk_delay = 0.9
    heard: list[LlmEvent] = []
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        with pytest.raises(ProviderError, match="nothing more came for 2 s") as caught:
            await ask(session, heard=heard)
    assert words(heard) == "one two"
    assert caught.value.fault == "retry"


@each_protocol
async def test_a_stream_that_breaks_is_an_error_behind_the_words_before_it(
    pair: Pair, autojump_clock: trio.testing.MockClock
) -> None:
    vendor, recipe = made(pair)
    async with in_memory(vendor) as wire:
        async with recipe.open(Told().context(wire)) as session:
            for part, said in ((b"data: {broken\n\n", "not JSON"), (b"x" * 2_000_000, "larger than")):
                vendor.replies("One moment.", part)
                heard: list[LlmEvent] = []
                with pytest.raises(ProviderError, match=said) as caught:
                    await ask(session, heard=heard)
                assert words(heard) == "One moment."
                assert caught.value.fault == "retry"
            vendor.faults.break_after = 5
            vendor.replies("one two three four five six")
            heard = []
            with pytest.raises(ProviderError, match="connection failed") as caught:
                await ask(session, heard=heard)
            assert words(heard).startswith("one")
            assert caught.value.fault == "retry"


@each_protocol
async def test_a_stream_without_an_end_is_an_error(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    vendor, recipe = made(pair)
    vendor.streams(b"")
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        with pytest.raises(ProviderError, match="ended in the middle") as caught:
            await ask(session)
    assert caught.value.fault == "retry"


@each_protocol
async def test_things_that_nobody_knows_mean_nothing(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    vendor, recipe = made(pair)
    unknown = b"".join(
        b"data: " + json.dumps(value).encode() + b"\n\n"
        for value in (
            None,
            [],
            7,
            "text",
            {},
            {"type": None, "index": "x", "delta": 3, "item": [], "response": 1, "message": "x", "usage": [1]},
            {"type": "content_block_delta", "index": 99, "delta": {"type": "input_json_delta", "partial_json": 4}},
            {"choices": [None, {"delta": {"tool_calls": [None, {"function": None}, 3], "content": 5}}], "usage": 3},
            {"choices": {"a": 1}, "candidates": {"b": 2}},
            {"candidates": [{"content": {"parts": [None, {"functionCall": []}, {"text": 3}]}}], "usageMetadata": 3},
            {"type": "response.output_item.done", "item": {"type": "function_call"}},
        )
    )
    vendor.replies("All", unknown, " well.")
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        assert words(await ask(session)) == "All well."


@each_protocol
async def test_an_answer_that_is_no_stream_names_the_url(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    vendor, recipe = made(pair)
    page = attrs.evolve(vendor.error(200, "x"), body=b"<html>", headers={"content-type": "text/html"})
    vendor.faults.refusals.append(page)
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        with pytest.raises(ProviderError, match="base_url") as caught:
            await ask(session)
    assert caught.value.fault == "fatal"


@each_protocol
async def test_a_hook_sees_each_request_and_may_change_it(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    vendor, recipe = made(pair)

    def change(settings: dict[str, Any]) -> None:
        settings["metadata" if pair.name != "gemini" else "labels"] = {"line": "7"}

    async with in_memory(vendor) as wire:
        told = Told(change=change)
        async with recipe.open(told.context(wire)) as session:
            await ask(session)
    (opening,) = told.openings
    assert (opening.role, opening.provider) == ("llm", recipe.provider)
    assert opening.url == recipe.url
    assert vendor.asked[0] == opening.settings
    assert "'line': '7'" in str(vendor.asked[0])
    assert vendor.key not in str(opening)


@each_protocol
async def test_extra_settings_go_over_the_others(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    name = "metadata" if pair.name != "gemini" else "generationConfig"
    vendor, recipe = made(pair, extra={name: {"stopSequences": ["x"]}}, temperature=0.5)
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        await ask(session)
    settings = vendor.asked[0][name]
    assert settings["stopSequences"] == ["x"]
    assert (settings if pair.name == "gemini" else vendor.asked[0])["temperature"] == 0.5


@each_protocol
async def test_the_limit_of_a_reply_is_sent(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    vendor, recipe = made(pair, max_tokens=321)
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        await ask(session)
    assert ": 321" in json.dumps(vendor.asked[0])


@each_protocol
async def test_over_real_sockets(pair: Pair) -> None:
    vendor = pair.vendor()
    vendor.faults.chunk = 7
    vendor.replies("Let me look.", CALL)
    async with on_loopback(vendor) as address, open_wire() as wire:
        path = urlsplit(made(pair)[1].base_url).path
        recipe = pair.recipe(api_key=vendor.key, base_url=f"http://{address}{path}")
        told = Told()
        async with recipe.open(told.context(wire)) as session:
            await session.prewarm()
            events = await ask(session, ASKED, TOOLS)
            assert (words(events), calls(events)) == ("Let me look.", [("find_table", '{"size": 2}')])
            assert told.usage[0].provider in ("openai", "anthropic", "gemini")
            assert vendor.connected == 1


@each_protocol
async def test_a_whole_call(pair: Pair, call_lab: CallLab) -> None:
    vendor = pair.vendor(vocabulary=call_lab.vocabulary)
    vendor.replies("Seven is free.")
    recipe = pair.recipe(api_key=vendor.key)
    async with in_memory(vendor) as wire:
        async with call_lab.dial(Agent(llm=recipe, greeting="Hello."), wire=wire) as caller:
            await caller.hears("Hello.")
            await caller.says("any table tonight")
            await caller.hears("Seven is free.")
    assert "any table tonight" in json.dumps(vendor.asked[0])


@each_protocol
def test_recipes_say_what_they_are(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    vendor, recipe = made(pair)
    model: LanguageModel = recipe
    assert model.name == f"{recipe.provider} {recipe.model}"
    assert isinstance(recipe, Parkable)
    assert isinstance(recipe, Probed)
    assert recipe.idle_limit == float("inf")
    assert vendor.key not in repr(recipe)
    assert recipe == made(pair)[1]
    with pytest.raises(ConfigurationError, match="_API_KEY"):
        pair.recipe()
    for wrong in ({"model": " "}, {"base_url": "x"}, {"max_tokens": 0}, {"connect": 0}, {"first_token": -1}):
        with pytest.raises(ConfigurationError):
            made(pair, **wrong)


async def test_a_long_answer_to_warming_leaves_a_connection_too(autojump_clock: trio.testing.MockClock) -> None:
    vendor, recipe = made(PAIRS[0])
    vendor.faults.refusals.append(Answer.of({"data": [{"id": "m" * 1000}] * 200}))
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        await session.prewarm()
        await ask(session)
        assert vendor.connected == 1


async def test_a_session_can_be_warmed(autojump_clock: trio.testing.MockClock) -> None:
    vendor, recipe = made(PAIRS[0])
    async with in_memory(vendor) as wire, recipe.open(Told().context(wire)) as session:
        assert isinstance(session, Prewarmed)
