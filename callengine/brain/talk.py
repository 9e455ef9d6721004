"""The speaking half of a flow's dialogue: what is being settled, what was asked, and how it is put.

`Dialogue` (in dialogue.py) decides what the caller meant; `Talk` holds the task at hand and words what follows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from callengine.brain.flow import Flow, Intent, Slot
from callengine.brain.replies import Expectation, Expects, FlowAction, FlowReply
from callengine.brain.slots import Found, SlotContext, Strength
from callengine.brain.task import Task

_LONG = 5
"""Words from which a turn that was not understood is more likely out of scope than misheard."""


class Talk:
    """What one call's dialogue has at hand. Every method that makes a reply also remembers what it asked."""

    def __init__(self, flow: Flow, context: SlotContext) -> None:
        self.flow = flow
        self.manners = flow.manners
        self.context = context
        self.task: Task | None = None
        self.done: Task | None = None
        """The last task that was completed: a correction may still come."""
        self.expects: Expectation | None = None
        self.asked = False
        """Whether the caller heard the question."""
        self.leaving = False
        """Whether the caller said goodbye while something was still to be done."""
        self.open_slot: Slot | None = None
        """The slot whose value the caller may go on with."""
        self.known: dict[str, Any] = {}
        self.last: tuple[str, ...] = ()
        self._question_at: int | None = None
        self._misses = 0
        self._acknowledged = 0

    # --- replies ------------------------------------------------------------------------------------------------

    def say(
        self, before: Sequence[str], question: Sequence[str], expects: Expectation | None, decision: str
    ) -> FlowReply:
        """Some sentences and then a question; no question keeps none."""
        sentences = (*before, *question)
        self.last = sentences
        self._question_at = len(before) if question else None
        self.expects = expects
        self.asked = expects is not None
        return FlowReply(sentences, expects=str(expects) if question and expects else None, decision=decision)

    def remark(self, sentences: Sequence[str], decision: str) -> FlowReply:
        """Sentences that leave everything as it is, the question included."""
        expects = str(self.expects) if self.expects and self.asked else None
        return FlowReply(tuple(sentences), expects=expects, decision=decision)

    def said(self) -> tuple[str, ...]:
        """The last sentences, for a caller who wants to hear them again: without the thanks."""
        worth = tuple(sentence for sentence in self.last if sentence not in self.manners.taken)
        return worth or (self.manners.i_can.format(can=self.flow.can),)

    def cut(self, heard: str) -> None:
        """The last reply was cut after ``heard``: a question counts when at least half of its last sentence was."""
        if self._question_at is None:
            return
        needed = sum(len(sentence.split()) for sentence in self.last[:-1]) + len(self.last[-1].split()) / 2
        self.asked = self.asked and len(heard.split()) >= needed

    def question(self) -> tuple[tuple[str, ...], Expectation | None]:
        """The question that is open, in its words, and what it expects."""
        manners, expects = self.manners, self.expects
        if expects is None or expects.kind in {Expects.SLOT, Expects.CONFIRMATION}:
            if self.task is None:
                return (), None
            slot = self.task.missing()
            if slot is not None:
                part = slot.name in self.task.values
                return (manners.go_on if part else slot.ask,), Expectation(Expects.SLOT, slot)
            if self.task.intent.confirm is None:
                return (), None
            wording = self.task.intent.word(self.task.intent.confirm, self.task.values)
            return _sentences(wording), Expectation(Expects.CONFIRMATION)
        if expects.kind is Expects.CHANGE:
            return (manners.what_to_change,), expects
        if expects.kind is Expects.OFFER:
            return (self.flow.offer,), expects
        return (manners.anything_else,), expects

    def back_to_question(self, before: Sequence[str], decision: str) -> FlowReply:
        """A digression is over: say it, and ask again what was open."""
        self._misses = 0
        silent = self._question_at is None and self.task is None and before
        question, expects = self.question()
        if not question or silent:
            # not asked aloud, but "no, thank you" is understood
            question, expects = (), Expectation(Expects.ANYTHING_ELSE)
        return self.say(before, question, expects, decision)

    def acknowledgement(self) -> str:
        """ "Thank you.", "All right.", in turn."""
        self._acknowledged += 1
        return self.manners.taken[(self._acknowledged - 1) % len(self.manners.taken)]

    # --- a task -------------------------------------------------------------------------------------------------

    def start(self, intent: Intent, found: Mapping[str, Found], decision: str) -> FlowReply:
        """Begin an intent with what was said so far, and ask for the rest."""
        values = {slot.name: self.known[slot.name] for slot in intent.slots if slot.name in self.known}
        self.task, self.expects, self.done = Task(intent, values), None, None
        new, problems = self._fill(self.task, found)
        before = [intent.begin] if intent.begin and (self.task.missing() or not intent.confirm) else []
        plain = [name for name in new if found[name].strength > Strength.BARE]
        spoken = [self._spoken(name) for name in plain if self.task.slot(name).complete(self.task.values[name])]
        if spoken and self.task.missing():
            before.append(_capitalised(", ".join(spoken)) + ".")
        return self.proceed([*before, *problems], _line(decision, self.task.note(new)))

    def settle(self, found: Mapping[str, Found], decision: str) -> FlowReply:
        """Take values for the task: say what changed, then go on."""
        task = self.task
        assert task is not None
        old = dict(task.values)
        confirming = self.expects is not None and self.expects.kind in {Expects.CONFIRMATION, Expects.CHANGE}
        heard_rest = confirming and self.asked
        new, problems = self._fill(task, found)
        changed = [name for name in new if name in old and task.slot(name).complete(old[name])]
        unasked = [name for name in new if name not in old and not self._was_asked(name)]
        if task.missing() is None and not heard_rest:
            unasked = []  # the whole is read back at once
        whole = [name for name in (*changed, *unasked) if task.slot(name).complete(task.values[name])]
        before = []
        if whole:
            before.append(self.manners.changed.format(value=_capitalised(", ".join(map(self._spoken, whole)))))
        elif new and not confirming and task.missing() not in [task.slot(name) for name in new]:
            before.append(self.acknowledgement())
        line = _line(decision, task.note(new))
        if heard_rest and whole and not problems and task.missing() is None:
            self._misses = 0
            return self.say(before, (self.manners.rest_right,), Expectation(Expects.CONFIRMATION), line)
        return self.proceed([*before, *problems], line)

    def extend(self, slot: Slot, found: Found, decision: str) -> FlowReply:
        """The caller went on with a value that was thought complete."""
        assert self.task is not None
        value = slot.kind.join(self.task.values[slot.name], found.value)
        return self.settle({slot.name: attrs.evolve(found, value=value)}, decision)

    def ask_anew(self, slot: Slot, decision: str) -> FlowReply:
        """A value was wrong: forget it and ask for it again."""
        assert self.task is not None
        self.task.values.pop(slot.name, None)
        self.known.pop(slot.name, None)
        question = self.manners.again_from_start.format(ask=slot.ask or slot.name)
        return self.say((), (question,), Expectation(Expects.SLOT, slot), decision)

    def proceed(self, before: Sequence[str], decision: str) -> FlowReply:
        """The next question of the task, or its end."""
        self._misses = 0
        self.expects = None
        question, expects = self.question()
        if question:
            return self.say(before, question, expects, decision)
        return self.complete(before, decision)

    def complete(self, before: Sequence[str], decision: str) -> FlowReply:
        """The task is settled: act, or say how it ends."""
        task = self.task
        assert task is not None
        self._misses = 0
        self.task, self.done = None, task
        if task.intent.then is None:
            return self.finish(task, None, before, decision)
        meanwhile = [task.intent.meanwhile] if task.intent.meanwhile else []
        reply = self.say([*before, *meanwhile], (), None, decision)
        return attrs.evolve(reply, action=FlowAction(task.intent.name, task.intent.then, dict(task.values)))

    def take_back(self, task: Task) -> None:
        """A task that was complete is open again: its action was not run."""
        self.task, self.done = task, None
        self.expects, self.asked = Expectation(Expects.CONFIRMATION), False

    def finish(self, task: Task, result: str | None, before: Sequence[str], decision: str) -> FlowReply:
        """A task is done: its last words, and whether there is anything else."""
        said = list(before)
        if result:
            said.extend(_sentences(result))
        elif task.intent.reply is not None:
            said.extend(_sentences(task.intent.word(task.intent.reply, task.values)))
        if self.task is not None:
            return self.back_to_question(said, decision)  # the caller went on while it was being done
        if task.intent.hang_up or self.leaving:
            return self.close(said, decision)
        return self.say(said, (self.manners.anything_else,), Expectation(Expects.ANYTHING_ELSE), decision)

    def close(self, before: Sequence[str], decision: str) -> FlowReply:
        """Say goodbye and hang up."""
        self.task = None
        reply = self.say((*before, self.flow.closing), (), None, decision)
        return attrs.evolve(reply, hang_up=True)

    def offer(self, before: Sequence[str], decision: str) -> FlowReply:
        """Offer what helps when nothing else does, or say what is possible."""
        self._misses = 0
        if self.flow.rescue is not None and (self.task is None or self.task.intent.name != self.flow.rescue):
            return self.say(before, (self.flow.offer,), Expectation(Expects.OFFER), decision)
        self.task = None
        can = self.manners.i_can.format(can=self.flow.can)
        return self.say((*before, can), (self.manners.what_for_you,), None, decision)

    # --- repairs ------------------------------------------------------------------------------------------------

    def repair(self, words: int, decision: str) -> FlowReply:
        """Something was not understood: name what is expected; then give an example; then offer another way."""
        question, expects = self.question()
        if question and not self.asked:
            return self.say((), question, expects, f"{decision}; the question had not been heard")
        self._misses += 1
        line = f"{decision}, {self._misses} in a row"
        if self._misses >= 3:
            return self.offer((self.manners.gave_up,), line)
        opening = self.manners.not_understood if words else self.manners.unheard
        if words >= _LONG and self._misses == 1 and self.flow.otherwise is None:
            opening = self.manners.cannot
        if self._misses == 2 and (hint := self._hint(expects)):
            return self.say((opening,), (self.manners.example.format(hint=hint),), expects, line)
        if question:
            return self.say((opening,), question[-1:], expects, line)
        return self.say((opening, self.manners.i_can.format(can=self.flow.can)), (), None, line)

    def _hint(self, expects: Expectation | None) -> str:
        if expects is None:
            return self.flow.intents[0].examples[0]
        if expects.slot is not None:
            return expects.slot.example
        if expects.kind is Expects.CHANGE and self.task is not None:
            return f"the {self.task.intent.slots[0].names[0]}" if self.task.intent.slots else ""
        return self.manners.yes_no.hint

    # --- values -------------------------------------------------------------------------------------------------

    def _fill(self, task: Task, found: Mapping[str, Found]) -> tuple[list[str], list[str]]:
        """Put values into the task; returns the names that have a new value, and sentences about those refused."""
        new: list[str] = []
        problems: list[str] = []
        self.open_slot = None
        for slot in task.intent.slots:
            hit = found.get(slot.name)
            if hit is None:
                continue
            value, known = hit.value, task.values.get(slot.name)
            if known is not None and (slot.kind.accumulates or not slot.complete(known)):
                value = slot.kind.join(known, value)
            problem = slot.check(value, self.context)
            if problem is not None:
                task.values.pop(slot.name, None)
                problems.append(problem)
                continue
            if value == known:
                continue
            task.values[slot.name] = value
            if slot.shared and slot.complete(value):
                self.known[slot.name] = value
            if hit.open_ended:
                self.open_slot = slot
            new.append(slot.name)
        return new, problems

    def _was_asked(self, name: str) -> bool:
        expects = self.expects
        return expects is not None and expects.slot is not None and expects.slot.name == name

    def _spoken(self, name: str) -> str:
        assert self.task is not None
        return self.task.slot(name).say(self.task.values[name])


def _sentences(text: str) -> tuple[str, ...]:
    return tuple(re.split(r"(?<=[.?!])\s+(?=[A-Z])", text.strip())) if text.strip() else ()


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _line(decision: str, values: str) -> str:
    return f"{decision}; {values}" if values else decision
