"""What every language model promises, whoever serves it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from cases import LLM, Case, Told, simulated
from conformance_llm import BOOK, MESSAGES, REPLY, WEATHER, ask, calls_of, reply_of, text_of

from callengine.errors import ProviderError
from callengine.ports import Message, TextDelta, ToolCall
from callengine.testing.vendors import Answer, Vendor, on_loopback
from callengine.wire import open_wire

EVERY = pytest.mark.parametrize("case", LLM, ids=str)

CALL = ToolCall("call_1", "book_table", '{"people": 4, "name": "Zoë \\"Z\\" O\'Neill"}')
OTHER = ToolCall("call_2", "weather", "{}")


def arguments(call: ToolCall) -> Any:
    return json.loads(call.arguments)


# --- replies ----------------------------------------------------------------------------------------------------------


@EVERY
async def test_a_reply_is_the_vendor_s_text_piece_by_piece(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), case.make().open(Told().context(wire)) as session:
        vendor.replies(REPLY)
        events = await ask(session)
    assert text_of(events) == REPLY
    assert all(isinstance(event, TextDelta) and event.text for event in events)
    assert len(events) > 1


@EVERY
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
async def test_how_the_network_cuts_the_stream_makes_no_difference(autojump_clock, case: Case, size: int):
    said = "Certo, il caffè è pronto 😀.\n\nE poi?"
    async with simulated(case) as (vendor, wire), case.make().open(Told().context(wire)) as session:
        vendor.faults.chunk = size
        vendor.replies(said, CALL)
        events = await ask(session, tools=[BOOK])
    assert text_of(events) == said
    assert [arguments(call) for call in calls_of(events)] == [arguments(CALL)]


@EVERY
async def test_a_vendor_that_starts_late_or_is_slow_is_only_that(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        vendor.faults.connect_delay, vendor.faults.answer_delay, vendor.faults.chunk_delay = 0.8, 0.8, 0.2
        assert await reply_of(case, vendor, wire) == REPLY


@EVERY
async def test_words_are_handed_out_as_they_come(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), case.make().open(Told().context(wire)) as session:
        vendor.faults.chunk_delay = 0.2
        vendor.replies(REPLY)
        times = []
        async with session.reply(MESSAGES) as stream:
            async for _ in stream:
                times.append(trio.current_time())
    assert len(set(times)) > 2


@EVERY
async def test_replies_follow_each_other_on_one_connection(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), case.make().open(Told().context(wire)) as session:
        for text in ("One.", "Two.", "Three."):
            vendor.replies(text)
            assert text_of(await ask(session)) == text
        assert vendor.connected == 1


@EVERY
async def test_replies_of_several_calls_at_once_never_mix(autojump_clock, case: Case):
    heard = {}
    async with simulated(case) as (vendor, wire):
        recipe = case.make()
        vendor.faults.chunk_delay = 0.05

        async def call(text: str) -> None:
            async with recipe.open(Told().context(wire)) as session:
                heard[text] = text_of(await ask(session, [Message("user", text)]))

        for texts in (["good evening", "a table for four", "we are late"], ["and again"]):
            async with trio.open_nursery() as nursery:
                for text in texts:
                    nursery.start_soon(call, text)
    assert heard == {text: f"You said: {text}" for text in heard}
    assert len(heard) == 4


# --- tools ------------------------------------------------------------------------------------------------------------


@EVERY
async def test_a_call_comes_whole_with_its_arguments(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), case.make().open(Told().context(wire)) as session:
        vendor.replies(CALL)
        events = await ask(session, tools=[BOOK, WEATHER])
    (call,) = calls_of(events)
    assert (call.name, arguments(call)) == ("book_table", arguments(CALL))
    assert call.id
    assert text_of(events) == ""


@EVERY
async def test_text_and_then_several_calls_each_once_in_order(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), case.make().open(Told().context(wire)) as session:
        vendor.replies("Let me look. ", CALL, OTHER, ToolCall("call_3", "book_table", '{"people": 2}'))
        events = await ask(session, tools=[BOOK, WEATHER])
    assert text_of(events).strip() == "Let me look."
    assert [(call.name, arguments(call)) for call in calls_of(events)] == [
        ("book_table", arguments(CALL)),
        ("weather", {}),
        ("book_table", {"people": 2}),
    ]
    assert len({call.id for call in calls_of(events)}) == 3


@EVERY
@pytest.mark.parametrize("written", ['{"people": fo', "four people", "[4]", '"four"', "{"])
async def test_arguments_that_are_no_object_are_passed_on_as_they_are(autojump_clock, case: Case, written: str):
    if case.name == "gemini":
        pytest.skip("its calls are JSON objects by their form")
    async with simulated(case) as (vendor, wire), case.make().open(Told().context(wire)) as session:
        vendor.replies(ToolCall("call_1", "book_table", written))
        (call,) = calls_of(await ask(session, tools=[BOOK]))
    assert call.arguments == written


@EVERY
async def test_functions_are_declared_with_their_names_and_schemas(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), case.make().open(Told().context(wire)) as session:
        vendor.replies("Yes.")
        await ask(session, tools=[BOOK, WEATHER])
        vendor.replies("No.")
        await ask(session)
    first, second = (json.dumps(body) for body in vendor.asked)
    for word in ("book_table", "Book a table.", "people", "integer", "weather"):
        assert word in first
        assert word not in second


HISTORY = [
    Message("system", "You take bookings."),
    Message("assistant", "Chez Trio, good evening."),
    Message("user", "A table for four, and what is the weather?"),
    Message("assistant", "One moment.", tool_calls=(CALL, OTHER)),
    Message("tool", '{"table": 7}', tool_call_id="call_1"),
    Message("tool", "the weather service is away", tool_call_id="call_2", failed=True),
]


@EVERY
@pytest.mark.parametrize(
    "more",
    [
        [],
        [Message("assistant", "Table seven."), Message("user", "Thanks.")],
        [Message("user", "Hello?")],
        [Message("assistant", "Table seven."), Message("assistant", "Anything else?"), Message("user", "No.")],
        [Message("user", "And"), Message("user", "a chair."), Message("system", "Hurry.")],
        [
            Message("assistant", "", tool_calls=(ToolCall("call_9", "book_table", '{"people": fo'),)),
            Message("tool", "the arguments are no JSON object", tool_call_id="call_9", failed=True),
        ],
        [
            Message("assistant", "", tool_calls=(ToolCall("call_9", "weather", ""),)),
            Message("tool", "", tool_call_id="call_9"),
        ],
    ],
    ids=["results", "a turn", "spoken over", "two in a row", "a late system", "malformed", "empty"],
)
async def test_calls_results_and_errors_are_in_the_history_in_the_vendor_s_shape(autojump_clock, case: Case, more):
    """The simulated vendor refuses what the real one refuses: order, pairs of calls and results, empty texts."""
    async with simulated(case) as (vendor, wire), case.make().open(Told().context(wire)) as session:
        vendor.replies("Table seven.")
        assert text_of(await ask(session, [*HISTORY, *more], [BOOK, WEATHER])) == "Table seven."
    said = json.dumps(vendor.asked[0], ensure_ascii=False)
    for words in ("Chez Trio, good evening.", "One moment.", "table", "the weather service is away"):
        assert words in said


@EVERY
async def test_what_came_out_can_be_sent_back(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), case.make().open(Told().context(wire)) as session:
        vendor.replies("One moment. ", CALL, OTHER)
        events = await ask(session, tools=[BOOK, WEATHER])
        calls = calls_of(events)
        results = [Message("tool", '{"ok": true}', tool_call_id=call.id) for call in calls]
        history = [*MESSAGES, Message("assistant", text_of(events), tool_calls=tuple(calls)), *results]
        vendor.replies("Done.")
        assert text_of(await ask(session, history, [BOOK, WEATHER])) == "Done."


@EVERY
@pytest.mark.parametrize(
    "messages",
    [
        [Message("assistant", "Chez Trio, good evening.")],
        [Message("system", "Greet the caller.")],
        [Message("user", "Hello.")],
        [Message("user", ""), Message("assistant", ""), Message("user", "Hello.")],
    ],
    ids=["greeted only", "no turn", "no system", "empty turns"],
)
async def test_a_conversation_that_hardly_began_is_legal(autojump_clock, case: Case, messages: list[Message]):
    async with simulated(case) as (vendor, wire), case.make().open(Told().context(wire)) as session:
        vendor.replies("Good evening.")
        assert text_of(await ask(session, messages)) == "Good evening."


# --- what goes wrong in the middle ------------------------------------------------------------------------------------


@EVERY
async def test_a_reply_without_its_first_word_is_given_up_in_time(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire), case.make(first_token=1.5).open(Told().context(wire)) as session:
        vendor.faults.stall_after = 0
        with pytest.raises(ProviderError) as caught:
            await ask(session)
        assert trio.current_time() == pytest.approx(1.5)
    assert caught.value.fault == "retry"


@EVERY
async def test_a_reply_that_stalls_in_the_middle_is_given_up_in_time(autojump_clock, case: Case):
    async with (
        simulated(case) as (vendor, wire),
        case.make(first_token=9.0, between_tokens=0.7).open(Told().context(wire)) as session,
    ):
        vendor.replies(REPLY * 5)
        vendor.faults.stall_after = 8
        with pytest.raises(ProviderError) as caught:
            await ask(session)
        assert trio.current_time() == pytest.approx(0.7)
    assert caught.value.fault == "retry"


@EVERY
@pytest.mark.parametrize("pieces", [0, 1, 3, 6])
async def test_a_reply_that_breaks_off_may_be_tried_again(autojump_clock, case: Case, pieces: int):
    async with simulated(case) as (vendor, wire), case.make().open(Told().context(wire)) as session:
        vendor.replies(REPLY * 5, CALL)
        vendor.faults.break_after = pieces
        with pytest.raises(ProviderError) as caught:
            await ask(session, tools=[BOOK])
        assert caught.value.fault == "retry"
        vendor.replies("And again.")
        assert text_of(await ask(session)) == "And again."


@EVERY
@pytest.mark.parametrize(
    "garbage",
    [
        b": a comment\n\n", b"event: ping\ndata: {\"type\": \"ping\"}\n\n", b"data: {}\n\n", b"data: 7\n\n",
        b"data: null\n\n",
        b"data: []\n\n", b'data: "text"\n\n', b'data: {"choices": null}\n\n', b'data: {"choices": [null]}\n\n',
        b'data: {"choices": [{"delta": null}]}\n\n', b'data: {"choices": [{"delta": {"content": 7}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [7, {"function": null}]}}]}\n\n',
        b'event: something.new\ndata: {"type": "something.new"}\n\n', b'data: {"type": 7}\n\n',
        b'data: {"type": "content_block_delta"}\n\n', b'data: {"type": "response.output_text.delta"}\n\n',
        b'data: {"candidates": null}\n\n', b'data: {"candidates": [{"content": {"parts": [7]}}]}\n\n',
        b'data: {"usage": 7, "usageMetadata": []}\n\n', b"\xff\xfe: x\n\n", b"nonsense\n\n",
    ],
)  # fmt: skip
async def test_garbage_in_the_stream_is_passed_over(autojump_clock, case: Case, garbage: bytes):
    async with simulated(case) as (vendor, wire), case.make().open(Told().context(wire)) as session:
        vendor.replies("Good ", garbage, "evening.")
        assert text_of(await ask(session)) == "Good evening."


@EVERY
@pytest.mark.parametrize(("body", "kind"), [(b"<html>hi</html>", "text/html"), (b"", "text/event-stream")])
async def test_an_answer_that_is_no_reply_is_an_error(autojump_clock, case: Case, body: bytes, kind: str):
    async with simulated(case) as (vendor, wire), case.make().open(Told().context(wire)) as session:
        vendor.faults.refusals.append(Answer(200, body, {"content-type": kind}))
        with pytest.raises(ProviderError):
            await ask(session)


# --- what it costs ----------------------------------------------------------------------------------------------------


@EVERY
async def test_a_reply_s_cost_is_told_once_in_the_vendor_s_figures(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        told = Told()
        await reply_of(case, vendor, wire, told)
        figures = vendor.figures
    (usage,) = told.usage
    assert (usage.provider, usage.estimated) == (case.provider, False)
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (
        figures.input, figures.cached, figures.output,
    )  # fmt: skip
    assert usage.model


@EVERY
async def test_a_vendor_that_tells_no_figures_is_estimated(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        vendor.figures = None
        told = Told()
        await reply_of(case, vendor, wire, told)
    (usage,) = told.usage
    assert usage.estimated
    assert usage.input_tokens > 0
    assert 1 <= usage.output_tokens <= len(REPLY)


@EVERY
async def test_leaving_early_closes_the_stream_and_costs_an_estimate(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        told = Told()
        async with case.make().open(told.context(wire)) as session:
            vendor.faults.chunk_delay = 0.1
            vendor.replies(REPLY * 10)
            async with session.reply(MESSAGES) as stream:
                await anext(stream)
                left = trio.current_time()
            assert trio.current_time() - left <= 0.25
            await trio.sleep(0.3)
            assert vendor.connections == 0
    (usage,) = told.usage
    assert usage.estimated
    assert usage.input_tokens > 0


@EVERY
async def test_a_reply_that_is_cancelled_costs_an_estimate(autojump_clock, case: Case):
    async with simulated(case) as (vendor, wire):
        told = Told()
        async with case.make().open(told.context(wire)) as session:
            vendor.faults.chunk_delay = 0.1
            vendor.replies(REPLY * 10)
            with trio.move_on_after(1.05):
                await ask(session)
            assert trio.current_time() <= 1.3
    (usage,) = told.usage
    assert usage.estimated


@EVERY
async def test_over_the_loopback(case: Case):
    vendor: Vendor = case.make_vendor()
    with trio.fail_after(20):
        async with on_loopback(vendor) as address, open_wire() as wire:
            async with case.make_at(address).open(Told().context(wire)) as session:
                vendor.replies(REPLY, CALL)  # type: ignore[attr-defined]
                events = await ask(session, tools=[BOOK])
    assert text_of(events) == REPLY
    assert len(calls_of(events)) == 1
