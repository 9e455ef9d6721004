"""A restaurant's telephone: tables booked, moved and cancelled, and the questions that callers ask.

``bookings()`` is the flow of the demo's house; ``bookings(House(...), book=...)`` is yours.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import attrs

from callengine.brain.flow import Flow, FlowFunction, Intent, Slot
from callengine.brain.slots import Choice, Date, Name, Number, Phone, Time

_WISHES = {
    "a table by the window": ("by the window", "window table", "window seat", "near the window"),
    "a high chair": ("high chair", "high chairs", "baby seat", "baby chair", "highchair"),
    "room for a wheelchair": ("wheelchair", "wheel chair"),
    "a quiet corner": ("quiet corner", "quiet table", "quiet place", "somewhere quiet"),
    "a table outside": ("outside", "on the terrace", "in the garden"),
    "vegetarian food": ("vegetarian", "vegetarians"),
    "vegan food": ("vegan", "vegans"),
    "nothing with gluten": ("gluten", "coeliac", "celiac"),
    "nothing with nuts": ("nut allergy", "allergic to nuts", "peanut", "no nuts"),
    "nothing with milk": ("lactose", "dairy", "milk allergy"),
    "a birthday": ("birthday",),
}
"""What callers wish for beside a table: how it is read back, and what they call it."""

_DISHES = {
    "gluten": ("gluten", "coeliac", "celiac"),
    "vegetarian": ("vegetarian", "vegetarians", "meat free", "without meat"),
    "vegan": ("vegan", "vegans"),
    "soup": ("soup",),
    "nuts": ("nut", "nuts", "peanut", "peanuts", "allergy", "allergies", "allergic"),
    "children": ("kids", "children", "child"),
}


@attrs.frozen
class House:
    """A restaurant, in the sentences it answers with. ``opens`` and ``closes`` bound the times of a booking;
    ``closed`` are weekdays without service (0 is Monday), ``holidays`` days of the year without, as (month, day);
    ``feasts`` maps (month, day) to what holds on that day."""

    name: str = "Chez Trio"
    opens: datetime.time = datetime.time(12, 0)
    closes: datetime.time = datetime.time(21, 30)
    closed: tuple[int, ...] = (0,)
    holidays: tuple[tuple[int, int], ...] = ((12, 25), (1, 1))
    largest_table: int = 12
    hours: str = "We are open from Tuesday to Sunday, from noon until half past ten at night."
    feasts: Mapping[tuple[int, int], str] = attrs.field(
        factory=lambda: {
            (12, 24): "On Christmas Eve we are open for lunch, from noon until three.",
            (12, 25): "On Christmas Day we are closed.",
            (12, 26): "On the 26th of December we are open as usual, from noon.",
            (12, 31): "On New Year's Eve we are open, with one long menu from seven in the evening.",
            (1, 1): "On New Year's Day we are closed.",
        },
        hash=False,
    )
    menu: str = "We cook French food with the seasons. There are always two soups, fish, and a vegetarian main course."
    dishes: Mapping[str, str] = attrs.field(
        factory=lambda: {
            "soup": "There are two soups today: onion, and pumpkin.",
            "gluten": "Yes. Half of our dishes are made without gluten, and the kitchen takes care with the others.",
            "vegetarian": "Yes, there is always a vegetarian main course, and both soups are vegetarian.",
            "vegan": "Yes, the kitchen cooks vegan when we know it a day before.",
            "nuts": "Please tell us about any allergy when you book, and the kitchen keeps to it.",
            "children": "Children are welcome: we have small plates, and high chairs.",
        },
        hash=False,
    )
    where: str = "We are at 12 Station Road, right beside the market hall. There is a car park behind the house."
    price: str = "Main courses are about twenty, and the tasting menu is forty-five a person, without drinks."
    arrivals: str = "I cannot see the tables from here. Please ask at the door whether your friends have arrived."
    access: str = "There are no steps at our entrance, and a wheelchair fits well at most tables."


def bookings(
    house: House | None = None,
    *,
    book: FlowFunction | None = None,
    change: FlowFunction | None = None,
    cancel: FlowFunction | None = None,
    call_back: FlowFunction | None = None,
) -> Flow:
    """The flow of a house that takes bookings.

    The functions are awaited as ``function(call, slots)`` once the caller has confirmed; a `str` they return is said
    in place of the flow's own last sentence. Slots: ``people`` (`int`), ``day`` (`datetime.date`), ``time``
    (`datetime.time`), ``name``, ``phone`` (`str`), ``wishes`` (a tuple of `str`, if any). In ``change`` day and time
    may also be the words "the same day" and "the same time". Without a function, what was agreed is in the call's
    journal and transcript only, and the caller hears that it was noted.
    """
    house = house or House()
    slots = _Slots(house)
    return Flow(
        intents=(
            _book(slots, book),
            _change(slots, change),
            _cancel(slots, cancel),
            *_call_backs(slots, call_back),
            *_questions(house),
        ),
        can="book, change or cancel a table, and tell you about our hours, our food, our prices and the way to us",
        closing=f"Thank you for calling {house.name}. Goodbye!",
        rescue="person",
        offer="Shall I have somebody call you back?",
    )


class _Slots:
    """The slots that several intents share."""

    def __init__(self, house: House) -> None:
        people = Number.of_people(
            maximum=house.largest_table,
            refusal=f"For more than {house.largest_table} people, please ask me to have somebody call you back.",
        )
        day, time = Date(closed=house.closed, holidays=house.holidays), Time(house.opens, house.closes)
        called_people = ("number of people", "how many", "people", "party size")
        called_day, called_time = ("day", "date"), ("time", "hour")
        self.people = Slot("people", people, ask="For how many people?", called=called_people)
        self.day = Slot("day", day, ask="For which day?", called=called_day)
        self.time = Slot("time", time, ask="At what time?", called=called_time)
        self.wishes = Slot("wishes", Choice(_WISHES, many=True), required=False, called=("wish", "wishes"))
        self.name = Slot("name", Name(), ask="What name is it under?", called=("name",), shared=True)
        self.phone = Slot(
            "phone",
            Phone(),
            ask="And which phone number can we reach you on?",
            called=("phone number", "telephone number", "number", "phone"),
            shared=True,
        )
        self.other_people = attrs.evolve(self.people, ask="", required=False)
        self.other_day = attrs.evolve(
            self.day, ask="To which day shall I move it?", also=("the same day", "the same evening")
        )
        self.other_time = attrs.evolve(self.time, ask="And at what time?", also=("the same time",))


def _book(slots: _Slots, function: FlowFunction | None) -> Intent:
    return Intent(
        "book",
        examples=(
            "I would like to book a table",
            "I would like to book a table for four people this Friday",
            "can I make a reservation",
            "reserve a table for tonight",
            "could I get a table by the window",
            "could I get a table on the third of December please",
            "do you have anything free on Saturday",
            "do you have anything free tomorrow night for two",
            "do you have a table for two tonight",
            "a table for six please",
            "is there a table left for tonight",
            "have you got space for five people",
            "can you fit us in tomorrow evening",
            "we are a group of eleven and would need a quiet corner",
            "we want to come for dinner on Friday",
            "I want to make a booking",
        ),
        begin="With pleasure.",
        slots=(slots.people, slots.day, slots.time, slots.wishes, slots.name, slots.phone),
        confirm=(
            "So that is a table for {people} on {day} at {time}, name {name}, number {phone}[, and I note: {wishes}]. "
            "Is that right?"
        ),
        then=function,
        reply="Thank you, {name}, your table is noted. We look forward to seeing you.",
        amended_by="change",
    )


def _change(slots: _Slots, function: FlowFunction | None) -> Intent:
    return Intent(
        "change",
        examples=(
            "can you change my booking",
            "I would like to change my reservation",
            "I need to move my reservation from Thursday to Saturday",
            "can we move our table to another day",
            "can we come an hour later than we booked",
            "I want to change the time of my booking",
            "whether you could do it a little later",
            "could you make our table bigger, we are more people now",
            "there will be one person more at our table",
            "can I reschedule my booking",
            "we would like to come earlier than we said",
        ),
        begin="Of course, I can change that.",
        slots=(slots.name, slots.other_day, slots.other_time, slots.other_people),
        confirm="So I move the table under the name {name} to {day} at {time}[, for {people}]. Is that right?",
        then=function,
        reply="Thank you, {name}, the change is noted.",
        amended_by="change",
    )


def _cancel(slots: _Slots, function: FlowFunction | None) -> Intent:
    return Intent(
        "cancel",
        examples=(
            "cancel my booking",
            "I need to cancel my reservation",
            "I am afraid I have to cancel my table for tonight",
            "we can not make it tonight",
            "please call off the table",
            "we are not coming on Saturday",
            "I do not need the table any more",
            "I want to cancel",
            "delete my reservation please",
        ),
        begin="I am sorry to hear that.",
        slots=(slots.day, slots.name),
        confirm="So I cancel the table of {day} under the name {name}. Is that right?",
        then=function,
        reply="Your cancellation is noted. We hope to see you another time.",
    )


def _call_backs(slots: _Slots, function: FlowFunction | None) -> tuple[Intent, Intent]:
    """What only a person can do: the caller leaves name and number."""
    common: dict[str, Any] = {
        "slots": (slots.name, slots.phone),
        "confirm": "So somebody calls {name} back on {phone}. Is that right?",
        "then": function,
        "reply": "Thank you, your name and number are noted for the next person who is free.",
    }
    person = Intent(
        "person",
        examples=(
            "could I speak to a real person please",
            "put me through to the manager",
            "I want to speak to a person",
            "transfer me to someone",
            "can I talk to the manager",
            "get me a real human",
            "operator please",
            "can somebody call me back",
            "I do not want to talk to a machine",
            "I would like to complain",
        ),
        begin="I am the booking system, and I cannot put you through. But somebody can call you back.",
        **common,
    )
    lost = Intent(
        "lost",
        examples=(
            "I left my scarf on the chair",
            "I think I left something at your place last week",
            "did anybody hand in a phone",
            "I lost my umbrella at your restaurant",
            "was my jacket found",
            "I was there last week and left my bag",
        ),
        begin="I am sorry to hear that. I cannot look for it, but somebody can, and call you back.",
        **common,
    )
    return person, lost


def _questions(house: House) -> tuple[Intent, ...]:
    def hours(slots: Mapping[str, Any]) -> str:
        day = slots.get("day")
        if day is None:
            return house.hours
        if (day.month, day.day) in house.feasts:
            return house.feasts[day.month, day.day]
        return f"{'No, we are closed on that day.' if day.weekday() in house.closed else ''} {house.hours}".strip()

    def menu(slots: Mapping[str, Any]) -> str:
        answers = [house.dishes[dish] for dish in slots.get("dishes", ()) if dish in house.dishes]
        return " ".join(answers) or house.menu

    return (
        Intent(
            "hours",
            examples=(
                "what time do you open on Sundays",
                "when do you close",
                "are you open on Christmas Eve",
                "are you open on Mondays",
                "what are your opening hours",
                "how late are you open",
                "until when does the kitchen serve food",
                "when do you open for lunch",
                "are you open today",
            ),
            slots=(Slot("day", Date(), required=False),),
            reply=hours,
        ),
        Intent(
            "menu",
            examples=(
                "what is on the menu",
                "do you have anything for someone who can not eat gluten",
                "do you have vegetarian food",
                "is there a vegetarian main course",
                "what is the soup today",
                "any gluten free options",
                "what do you serve",
                "is there a kids menu",
                "do you have vegan dishes",
                "what kind of food do you cook",
                "I have a nut allergy is that a problem",
            ),
            slots=(Slot("dishes", Choice(_DISHES, many=True), required=False),),
            reply=menu,
        ),
        Intent(
            "where",
            examples=(
                "where exactly are you",
                "where are you located",
                "what is your address",
                "how do I get there",
                "which street are you on",
                "is there parking nearby",
                "where can I park",
                "do you have a car park",
                "directions please",
                "can I leave my car there",
            ),
            reply=house.where,
        ),
        Intent(
            "access",
            examples=(
                "my wife is in a wheelchair",
                "is it wheelchair accessible",
                "are there steps at the entrance",
                "can you get in with a wheelchair",
                "is there a lift",
            ),
            reply=house.access,
        ),
        Intent(
            "arrivals",
            examples=(
                "could you check if my friend has already arrived",
                "is my wife already there",
                "have my friends arrived yet",
                "is somebody waiting for me at the table",
            ),
            reply=house.arrivals,
        ),
        Intent(
            "price",
            examples=(
                "how much is the tasting menu",
                "how much is the tasting menu for a party of six",
                "how much is it",
                "what does it cost",
                "how expensive is dinner",
                "what is the price of the set menu",
                "is there a cover charge",
                "what are your prices",
            ),
            reply=house.price,
        ),
    )
