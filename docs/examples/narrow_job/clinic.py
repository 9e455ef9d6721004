"""A narrow job as a flow: no model, no network. Run it with `callengine serve clinic:engine`."""

from collections.abc import Mapping
from typing import Any

from callengine import Agent, Call, Engine, Flow, Intent, Slot
from callengine.brain.slots import Date, Time

moved: dict[str, Any] = {}


async def move(call: Call, slots: Mapping[str, Any]) -> None:
    """Write the new time down; what it returns would be said instead of the reply."""
    moved[call.id] = (slots["day"], slots["time"])


clinic = Flow(
    can="confirm your appointment, or move it",
    closing="Thank you. Goodbye!",
    intents=(
        Intent(
            "coming",
            examples=("yes", "yes I will be there", "I am coming", "that is still fine"),
            reply="Wonderful, we see you on Tuesday at nine.",
            hang_up=True,
        ),
        Intent(
            "move",
            examples=("no", "I can not make it", "can I move the appointment", "another day please"),
            begin="No problem, we find another time.",
            slots=(
                Slot("day", Date(closed=(5, 6)), ask="Which day suits you?"),
                Slot("time", Time(), ask="And at what time?"),
            ),
            confirm="So that is {day} at {time}. Is that right?",
            then=move,
            reply="Done. We see you on {day} at {time}.",
        ),
    ),
)
agent = Agent(greeting="Hello, this is the clinic. Will you come on Tuesday at nine?", flow=clinic)
engine = Engine(agent)
