"""An intent on its way through a call, and the corrections of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from callengine.brain.flow import Intent, Slot
from callengine.brain.reading import Reading, differing, take
from callengine.brain.slots import Found, SlotContext, Strength


@attrs.define
class Task:
    """An intent on its way: the values known so far, in the order in which they came."""

    intent: Intent
    values: dict[str, Any] = attrs.field(factory=dict)

    def missing(self) -> Slot | None:
        """The first slot that still has to be asked for, or completed."""
        for slot in self.intent.slots:
            if slot.name in self.values:
                if not slot.complete(self.values[slot.name]):
                    return slot
            elif slot.required:
                return slot
        return None

    def slot(self, name: str) -> Slot:
        return next(slot for slot in self.intent.slots if slot.name == name)

    def note(self, names: Sequence[str]) -> str:
        return ", ".join(f"{name} = {self.slot(name).note(self.values[name])}" for name in names if name in self.values)


def changes(reading: Reading, task: Task, context: SlotContext, least: Strength | None = None) -> dict[str, Found]:
    """The values in a turn that are not those of the task. Without a word of correction they have to be plain."""
    if least is None:
        least = Strength.LIKELY if reading.correcting else Strength.SURE
    return differing(take(reading, task.intent.slots, context, least=least), task.values)


def bare_change(reading: Reading, task: Task, context: SlotContext) -> dict[str, Found]:
    """ "Make it six" names no slot: the one filled last that can have such a value."""
    for name in reversed(task.values):
        found = differing(take(reading, (task.slot(name),), context, least=Strength.BARE), task.values)
        if found:
            return found
    return {}
