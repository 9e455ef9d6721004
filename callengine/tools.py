"""Tools for an agent's language model: make your own with `tool`, or take the ready-made ones.

``Agent(llm=..., tools=(find_table, end_call, transfer_call))``; see docs/tools.md.
"""

from callengine.brain.tools.ready import (
    end_call,
    press_keys,
    send_text_message,
    transfer_call,
    transfer_call_warm,
)
from callengine.brain.tools.tool import Tool, ToolError, tool

__all__ = [
    "Tool",
    "ToolError",
    "end_call",
    "press_keys",
    "send_text_message",
    "tool",
    "transfer_call",
    "transfer_call_warm",
]
