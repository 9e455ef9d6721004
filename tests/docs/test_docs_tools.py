"""The program of the page on tools can be called, and what the page says of it holds."""

from __future__ import annotations

import re
from pathlib import Path

from callengine import CallSettings
from callengine.brain.tools.results import MAX_RESULT
from callengine.ports import Message, ToolCall

PAGE = (Path(__file__).parents[2] / "docs" / "tools.md").read_text(encoding="utf-8")


async def test_a_table_is_looked_up_and_booked(call_lab):
    scope: dict[str, object] = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0], scope)
    friday = '{"day": "friday", "people": 2, "name": "Ann"}'
    call_lab.llm.replies(
        ["Let me see.", ToolCall("1", "free_tables", '{"day": "friday"}')],
        "Two are free. Shall I book one?",
        [ToolCall("2", "book_table", friday)],
        ["It is yours. Goodbye!", ToolCall("3", "end_call", "{}")],
    )
    async with call_lab.dial(scope["agent"]) as caller:
        await caller.hears("good evening!")
        await caller.says("A table on Friday please.")
        await caller.hears("Shall I book one?")
        await caller.says("Yes please for Ann.")
        await caller.hears("I am booking it for you. It is yours. Goodbye!")
        await caller.is_hung_up_on()
    assert scope["TABLES"] == {"friday": 1, "saturday": 0}
    results = [message for message in call_lab.llm.requests[-1] if message.role == "tool"]
    assert results == [
        Message("tool", '{"free": 2}', tool_call_id="1"),
        Message("tool", "booked for Ann, 2 people", tool_call_id="2"),
    ]
    call_lab.assert_nothing_left()


def test_the_limits_on_the_page_are_those_of_the_code():
    settings = CallSettings()
    assert f"at most {MAX_RESULT:,} characters" in PAGE
    assert f"`CallSettings.commit_timeout`, {settings.commit_timeout:g} s" in PAGE
    assert f"`CallSettings.max_tool_rounds`** ({settings.max_tool_rounds})" in PAGE
