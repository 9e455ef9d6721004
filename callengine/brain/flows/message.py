"""The flow of an agent that has only a prompt, and no language model to follow it: it takes a message.

It does not pretend to be what the prompt describes: it says that it is an answering service.
"""

from __future__ import annotations

import re

from callengine.brain.flow import Flow, FlowFunction, Intent, Slot
from callengine.brain.slots import Name, Phone, Text

_WHOSE = re.compile(r"\b(?:for|of|at) ((?:[A-Z][\w'’&-]*)(?: [A-Z][\w'’&-]*)*)")
"""Whom an agent speaks for, in prompts such as "You take bookings for Chez Trio."."""


def message_flow(prompt: str = "", *, deliver: FlowFunction | None = None) -> Flow:
    """Take a caller's message: what it is about, a name and a number; read it back; say goodbye.

    Of ``prompt`` only the name of whom it speaks for is used ("... for Chez Trio"), if there is one.
    ``deliver(call, slots)`` is awaited with the slots ``about``, ``name`` and ``phone`` (all `str`) once the caller has
    confirmed them. Without it, the message is in the call's journal and transcript only.
    """
    whose = _WHOSE.search(prompt)
    who = f"the answering service of {whose[1]}" if whose else "the answering service here"
    take_message = Intent(
        "message",
        examples=(
            "I would like to leave a message",
            "can you take a message",
            "please tell them that I called",
            "could somebody call me back",
            "can I speak to somebody",
            "is anybody in the office",
            "put me through please",
            "could I speak to a real person please",
            "I am calling about my order",
            "I have a problem and need help",
        ),
        begin=f"I am {who}, and I can take a message.",
        slots=(
            Slot(
                "about",
                Text(),
                ask="What is it about?",
                called=("message", "what it is about"),
                hint="please call me back about my order",
            ),
            Slot("name", Name(), ask="And what is your name?", called=("name",)),
            Slot(
                "phone",
                Phone(),
                ask="Which number can they reach you on?",
                called=("phone number", "telephone number", "number", "phone"),
            ),
        ),
        confirm=('I wrote down: "{about}". The message is from {name}, and the number is {phone}. Is that right?'),
        then=deliver,
        reply="Thank you. Your message is noted.",
        hang_up=True,
    )
    return Flow(
        intents=(take_message,),
        can="take a message, with your name and number",
        closing="Thank you for calling. Goodbye!",
        otherwise="message",
    )
