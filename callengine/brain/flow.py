"""Flows: small dialogues that need no language model.

A flow is a set of intents, matched by example, each with the slots it has to know, a confirmation, and something to
do or to say. The dialogue around it (several slots at once, corrections, interruptions, "say that again", goodbye) is
the engine's. A narrow job reads like this:

    from callengine.brain.flow import Flow, Intent, Slot
    from callengine.brain.slots import Date, Time

    async def move(call, slots):
        await calendar.move("4711", slots["day"], slots["time"])      # a datetime.date and a datetime.time

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

All of it is checked when it is written down: a mistake raises `ConfigurationError`, which says what to do.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from callengine.brain.manners import ENGLISH, Manners, Request
from callengine.brain.slots import Found, SlotContext, SlotKind, Words
from callengine.errors import ConfigurationError

FlowFunction: TypeAlias = Callable[[Any, Mapping[str, Any]], Awaitable[str | None]]
"""Called as ``await function(call, slots)`` once the slots are complete and confirmed. A `str` it returns is spoken in
place of the intent's ``reply``. What it raises is the engine's to apologise for."""

Wording: TypeAlias = str | Callable[[Mapping[str, Any]], str]
"""A sentence with ``{slot}`` where a slot's spoken value goes, and ``[...]`` around what is left out while a slot in it
has no value; or a function from the slots' values to a sentence."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PLACEHOLDER = re.compile(r"{([^{}]*)}")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")


def _strings(values: Iterable[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _slots(values: Iterable[Slot]) -> tuple[Slot, ...]:
    return tuple(values)


def _intents(values: Iterable[Intent]) -> tuple[Intent, ...]:
    return tuple(values)


class AsSaid(str):
    """A slot's value that is one of its ``also`` phrases ("the same time") instead of a value of its kind."""

    __slots__ = ()


@attrs.frozen
class Slot:
    """Something an intent has to know.

    ``ask`` is the question for it; a slot with ``required=False`` needs none, and is only taken when it is said.
    ``also`` are phrases taken as they are in place of a value ("the same time"). ``called`` is what a caller may call
    it in "the time is wrong" (its name, unless given). ``hint`` replaces the example of its kind in a repair. What a
    caller said for a ``shared`` slot (his name) holds for the rest of the call, and is not asked for again.
    """

    name: str
    kind: SlotKind
    ask: str = ""
    required: bool = True
    also: tuple[str, ...] = attrs.field(default=(), converter=_strings)
    called: tuple[str, ...] = attrs.field(default=(), converter=_strings)
    hint: str = ""
    shared: bool = False

    def __attrs_post_init__(self) -> None:
        _check_name("Slot", self.name)
        if self.required and not self.ask:
            raise ConfigurationError(
                f"slot {self.name!r} has no question: give it ask='...', or required=False to take it only when said"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """What a caller may call it."""
        return self.called or (self.name,)

    @property
    def example(self) -> str:
        """What a caller may answer."""
        return self.hint or self.kind.hint

    def find(self, words: Words, context: SlotContext) -> Sequence[Found]:
        """Every value in the words, best first."""
        for phrase in self.also:
            tokens = Words.of(phrase).lower
            short = tokens[1:] if tokens[:1] == ("the",) else tokens
            for index in range(len(words)):
                if words.starts(index, *short) and words.free(index, index + len(short)):
                    return [Found(AsSaid(phrase), index, index + len(short))]
        return self.kind.find(words, context)

    def check(self, value: Any, context: SlotContext) -> str | None:
        """Why the value cannot be, or None."""
        return None if isinstance(value, AsSaid) else self.kind.check(value, context)

    def complete(self, value: Any) -> bool:
        """Whether the value is whole, or the caller has to go on with it."""
        return isinstance(value, AsSaid) or self.kind.complete(value)

    def say(self, value: Any) -> str:
        """The value as it is spoken."""
        return str(value) if isinstance(value, AsSaid) else self.kind.say(value)

    def note(self, value: Any) -> str:
        """The value as the journal may show it."""
        return str(value) if isinstance(value, AsSaid) else self.kind.note(value)


@attrs.frozen
class Intent:
    """Something callers want.

    ``examples`` are sentences of callers who want it: five or more, as different as callers put it. ``begin`` is said
    when it is understood and something is still missing; ``confirm`` reads the slots back as a question; ``then`` is
    run after a yes; ``reply`` is said at the end. An intent without required slots, ``confirm`` and ``then`` is a
    question that is answered in the middle of another intent, which then goes on.

    ``meanwhile`` is said while ``then`` runs. ``amended_by`` names the intent that takes a correction made after this
    one was done; slots of the same name are carried over. ``hang_up`` ends the call after ``reply``.
    """

    name: str
    examples: tuple[str, ...] = attrs.field(converter=_strings)
    slots: tuple[Slot, ...] = attrs.field(default=(), converter=_slots)
    begin: str = ""
    confirm: Wording | None = None
    then: FlowFunction | None = None
    reply: Wording | None = None
    meanwhile: str = ""
    amended_by: str | None = None
    hang_up: bool = False

    def __attrs_post_init__(self) -> None:
        _check_name("Intent", self.name)
        if self.name in set(Request):
            raise ConfigurationError(
                f"intent {self.name!r}: every flow understands this request by itself; choose another name, or change "
                "its examples and sentences with Flow(manners=...)"
            )
        if not [example for example in self.examples if Words.of(example).lower]:
            raise ConfigurationError(f"intent {self.name!r} has no examples: give it sentences that callers would say")
        _unique(f"intent {self.name!r}: slot", [slot.name for slot in self.slots])
        if self.reply is None and self.then is None:
            raise ConfigurationError(f"intent {self.name!r} comes to nothing: give it a reply, or a function (then=)")
        if inspect.isfunction(self.then) and not inspect.iscoroutinefunction(self.then):
            raise ConfigurationError(f"intent {self.name!r}: then={self.then.__name__} has to be an async function")
        for field, wording in (("confirm", self.confirm), ("reply", self.reply)):
            self._check_wording(field, wording)

    def _check_wording(self, field: str, wording: Wording | None) -> None:
        if not isinstance(wording, str):
            return
        slots = {slot.name: slot for slot in self.slots}
        for name in _PLACEHOLDER.findall(wording):
            if name not in slots:
                raise ConfigurationError(f"intent {self.name!r}: {field} names {{{name}}}, which is none of its slots")
        for name in _PLACEHOLDER.findall(_OPTIONAL.sub("", wording)):
            if not slots[name].required:
                raise ConfigurationError(
                    f"intent {self.name!r}: {field} names the optional slot {{{name}}}; put [square brackets] around "
                    "the words that go when it has no value"
                )

    @property
    def is_question(self) -> bool:
        """Whether it is answered at once, without taking the place of what the call is about."""
        return self.then is None and self.confirm is None and not any(slot.required for slot in self.slots)

    def word(self, wording: Wording, values: Mapping[str, Any]) -> str:
        """The sentence for these values."""
        if not isinstance(wording, str):
            return wording(values)
        spoken = {slot.name: slot.say(values[slot.name]) for slot in self.slots if slot.name in values}

        def keep(match: re.Match[str]) -> str:
            return match[1] if all(name in spoken for name in _PLACEHOLDER.findall(match[1])) else ""

        return _PLACEHOLDER.sub(lambda match: spoken.get(match[1], ""), _OPTIONAL.sub(keep, wording))


@attrs.frozen
class Flow:
    """What a keyless agent can do.

    ``can`` completes the sentence "I can ...". ``closing`` is the last sentence of a call. ``otherwise`` names the
    intent that takes whatever was not understood at first (a message); ``rescue`` the one that is offered, with
    ``offer`` as the question, after three misunderstandings. ``language`` is the one that callers speak: another than
    English needs ``manners`` in that language.
    """

    intents: tuple[Intent, ...] = attrs.field(converter=_intents)
    can: str
    closing: str = ENGLISH.goodbye
    otherwise: str | None = None
    rescue: str | None = None
    offer: str = ""
    language: str = "en"
    manners: Manners = ENGLISH

    def __attrs_post_init__(self) -> None:
        if not self.intents:
            raise ConfigurationError("a flow needs at least one intent: Flow(intents=(Intent(...),), ...)")
        if not self.can:
            raise ConfigurationError("Flow(can=...) is empty: complete the sentence 'I can ...'")
        _unique("Flow: intent", [intent.name for intent in self.intents])
        for field, name in self._references():
            if name not in {intent.name for intent in self.intents}:
                raise ConfigurationError(f"Flow: {field}={name!r} is none of its intents")
        if self.rescue is not None and not self.offer:
            raise ConfigurationError("Flow(rescue=...) needs offer='...', the question that offers it")
        if self.language.partition("-")[0] != "en" and self.manners is ENGLISH:
            raise ConfigurationError(
                f"Flow(language={self.language!r}) needs manners=Manners(...) in that language, and slots that read it"
            )
        kinds: dict[str, SlotKind] = {}
        for slot in (slot for intent in self.intents for slot in intent.slots):
            if type(kinds.setdefault(slot.name, slot.kind)) is not type(slot.kind):
                raise ConfigurationError(f"slot {slot.name!r} has different kinds in two intents: rename one of them")

    def _references(self) -> Iterator[tuple[str, str]]:
        for field, name in (("otherwise", self.otherwise), ("rescue", self.rescue)):
            if name is not None:
                yield field, name
        for intent in self.intents:
            if intent.amended_by is not None:
                yield f"intent {intent.name!r}: amended_by", intent.amended_by

    def intent(self, name: str) -> Intent:
        """The intent of that name. Raises KeyError."""
        return {intent.name: intent for intent in self.intents}[name]

    @property
    def examples(self) -> dict[str, tuple[str, ...]]:
        """What callers say, for the intents and for the requests that every flow understands."""
        requests = {str(request): examples for request, examples in self.manners.requests.items()}
        return requests | {intent.name: intent.examples for intent in self.intents}


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{what}({name!r}): a name is lower-case letters, digits and _, like 'phone_number'")


def _unique(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"{what} {name!r} is there twice: names have to differ")
