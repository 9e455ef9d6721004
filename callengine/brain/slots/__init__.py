"""Kinds of slots: what a flow can ask a caller for, and how it is understood in English."""

from callengine.brain.slots.base import Found, SlotContext, SlotKind, Strength
from callengine.brain.slots.choice import Choice
from callengine.brain.slots.date import Date
from callengine.brain.slots.name import Name
from callengine.brain.slots.number import Number
from callengine.brain.slots.phone import Phone
from callengine.brain.slots.text import Text
from callengine.brain.slots.time import Time
from callengine.brain.slots.words import Words
from callengine.brain.slots.yes_no import YesNo

__all__ = [
    "Choice",
    "Date",
    "Found",
    "Name",
    "Number",
    "Phone",
    "SlotContext",
    "SlotKind",
    "Strength",
    "Text",
    "Time",
    "Words",
    "YesNo",
]
