"""The understanding half of a flow's dialogue: what did the caller mean by this turn?

A turn is tried as a request, a question, a correction, an answer, an intent, in an order that depends on what was
asked; the first that fits makes the reply.
"""

from __future__ import annotations

from collections.abc import Callable

from callengine.brain.flow import Flow, Intent, Slot
from callengine.brain.manners import Request
from callengine.brain.matching import Match, Ranking
from callengine.brain.reading import Reading, covers, differing, named_slot, take
from callengine.brain.replies import Expectation, Expects, FlowReply
from callengine.brain.slots import Found, SlotContext, Strength
from callengine.brain.talk import Talk
from callengine.brain.task import Task, bare_change, changes

_SHORT = 8
"""Words up to which a turn can be nothing but a request such as "could you say that again please"."""
_FEW = 3
"""Words of a plain yes or no: "no, thank you"."""
_MAY_BE_YES_OR_NO = frozenset({Request.ACKNOWLEDGED, Request.THANKS, Request.GOODBYE, Request.NOT_WHAT_I_ASKED})
"""Requests that are rather an answer where a yes or no was asked for: "right", "no, thank you"."""


class Understanding:
    """Decides about the turns of one call. What is being settled is in its `Talk`."""

    def __init__(self, flow: Flow, talk: Talk, context: SlotContext) -> None:
        self._flow = flow
        self._talk = talk
        self._context = context

    def reply(self, reading: Reading, ranking: Ranking) -> FlowReply:
        """The reply to a whole turn, given its likeness to the intents."""
        for step in self._steps():
            reply = step(reading, ranking)
            if reply is not None:
                return reply
        return self._not_understood(reading)

    def waits_for_more(self, reading: Reading) -> bool:
        """Whether the turn is the beginning of a sentence whose end should be waited for."""
        if not reading.unfinished:
            return False
        return not (self._expected(Expects.CONFIRMATION, Expects.OFFER) and reading.agrees is not None)

    def _steps(self) -> tuple[Callable[[Reading, Ranking], FlowReply | None], ...]:
        """In which order a turn is tried. A question that was cut before it could be heard is no context: what the
        caller said then is an intent first, and an answer last."""
        if self._talk.expects is not None and not self._talk.asked:
            return (
                self._request,
                self._question,
                self._correction,
                self._amendment,
                self._meaning,
                self._values,
                self._goes_on,
            )
        return (
            self._request,
            self._question,
            self._direct_correction,
            self._goes_on,
            self._answer,
            self._correction,
            self._amendment,
            self._meaning,
            self._values,
        )

    def _expected(self, *kinds: Expects) -> bool:
        return self._talk.asked and self._talk.expects is not None and self._talk.expects.kind in kinds

    # --- requests that every flow understands -------------------------------------------------------------------

    def _request(self, reading: Reading, ranking: Ranking) -> FlowReply | None:
        best = ranking.best
        if best is None or best.intent not in set(Request) or not ranking.is_strong(best) or len(reading) > _SHORT:
            return None
        polite = best.intent in _MAY_BE_YES_OR_NO and reading.agrees is not None
        if polite and self._expected(Expects.CONFIRMATION, Expects.OFFER, Expects.CHANGE):
            if best.intent == Request.GOODBYE and reading.agrees:
                self._talk.leaving = True
            return None
        if self._pending_found(reading, Strength.SURE):
            return None
        return self._respond(Request(best.intent), best)

    def _respond(self, request: Request, match: Match) -> FlowReply:
        talk, manners = self._talk, self._flow.manners
        decision = _likeness("request", match)
        if request is Request.AGAIN:
            return talk.remark((manners.repeat, *talk.said()), decision)
        if request is Request.WAIT:
            return talk.remark((manners.take_your_time,), decision)
        if request is Request.GOODBYE or (request is Request.THANKS and self._expected(Expects.ANYTHING_ELSE)):
            dropped = talk.task is not None and bool(talk.task.values)
            return talk.close((manners.left_off,) if dropped else (), decision)
        if request in {Request.SOMETHING_ELSE, Request.NOT_WHAT_I_ASKED}:
            sentence = manners.apology if request is Request.NOT_WHAT_I_ASKED else manners.something_else
            return talk.say((sentence,), (), None, decision)
        if request is Request.NEVER_MIND:
            talk.task = None
            question = Expectation(Expects.ANYTHING_ELSE)
            return talk.say((manners.left_off,), (manners.anything_else,), question, decision)
        if request is Request.HELP:
            return talk.back_to_question((manners.can.format(can=self._flow.can),), decision)
        busy = talk.task is not None or talk.expects is not None
        if request is Request.STILL_THERE:
            return talk.back_to_question((manners.still_here,), decision)
        if request is Request.HELLO:
            return talk.back_to_question(() if talk.task else (manners.hello,), decision)
        if request is Request.THANKS:
            return talk.back_to_question((manners.welcome,), decision)
        if busy:
            return talk.back_to_question((), decision)
        return talk.say((), (manners.anything_else,), Expectation(Expects.ANYTHING_ELSE), decision)

    # --- the question that was asked ----------------------------------------------------------------------------

    def _answer(self, reading: Reading, ranking: Ranking) -> FlowReply | None:
        expects = self._talk.expects
        if expects is None:
            return None
        if expects.kind is Expects.SLOT and expects.slot is not None:
            return self._answer_slot(reading, expects.slot)
        if expects.kind is Expects.ANYTHING_ELSE:
            return self._answer_anything_else(reading, ranking)
        if expects.kind is Expects.OFFER:
            return self._answer_offer(reading)
        return self._answer_confirmation(reading)

    def _answer_slot(self, reading: Reading, slot: Slot) -> FlowReply | None:
        task = self._talk.task
        if task is None:
            return None
        found = differing(take(reading, task.intent.slots, self._context, pending=slot), task.values)
        if slot.name not in found and not (found and set(found) - set(task.values)):
            return None
        return self._talk.settle(found, f"answer to {slot.name}")

    def _answer_confirmation(self, reading: Reading) -> FlowReply | None:
        talk, task = self._talk, self._talk.task
        if task is None:
            return None
        changed = changes(reading, task, self._context, Strength.LIKELY)
        if changed:
            return talk.settle(changed, "correction")
        if self._expected(Expects.CHANGE) or reading.agrees is False:
            slot = named_slot(reading, task.intent)
            if slot is not None:
                return talk.ask_anew(slot, f"{slot.name} was wrong")
        if self._expected(Expects.CHANGE) and reading.agrees is not None:
            return talk.proceed((), "nothing to change")  # which is read back once more: it was not confirmed
        if reading.agrees is True:
            return talk.complete((), f"{task.intent.name} confirmed")
        if reading.agrees is False:
            return talk.say((), (self._flow.manners.what_to_change,), Expectation(Expects.CHANGE), "not confirmed")
        return None

    def _answer_anything_else(self, reading: Reading, ranking: Ranking) -> FlowReply | None:
        if reading.agrees is None or (len(reading) > _FEW and self._flow_intent(ranking) is not None):
            return None
        if reading.agrees:
            question = (self._flow.manners.what_for_you,)
            return self._talk.say((), question, None, "wants something else") if len(reading) <= _FEW else None
        if reading.correcting and self._amended(reading) is not None:
            return None
        return self._talk.close((), "nothing else")

    def _answer_offer(self, reading: Reading) -> FlowReply | None:
        talk = self._talk
        if reading.agrees is None or self._flow.rescue is None:
            return None
        talk.expects = None
        if reading.agrees:
            return talk.start(self._flow.intent(self._flow.rescue), {}, "offer accepted")
        if talk.task is not None:
            return talk.back_to_question((), "offer declined")
        return talk.say((), (self._flow.manners.what_for_you,), None, "offer declined")

    def _question(self, reading: Reading, ranking: Ranking) -> FlowReply | None:
        """A question that the flow can answer is answered, not taken as an answer or a correction."""
        intent = self._flow_intent(ranking)
        if intent is None or not intent.is_question or not reading.question or reading.direct_correction:
            return None
        return self._meaning(reading, ranking) if ranking.is_strong(ranking.best) else None

    # --- corrections --------------------------------------------------------------------------------------------

    def _direct_correction(self, reading: Reading, ranking: Ranking) -> FlowReply | None:
        """ "Make it six": about something said before, whatever is being asked just now."""
        return self._correction(reading, ranking) if reading.direct_correction else None

    def _correction(self, reading: Reading, ranking: Ranking) -> FlowReply | None:
        del ranking
        task = self._talk.task
        if task is None or not task.values:
            return None
        known = {name: hit for name, hit in changes(reading, task, self._context).items() if name in task.values}
        if not known and reading.direct_correction and not self._pending_found(reading, Strength.LIKELY):
            known = bare_change(reading, task, self._context)
        return self._talk.settle(known, "correction") if known else None

    def _amendment(self, reading: Reading, ranking: Ranking) -> FlowReply | None:
        """A correction after the task was done goes to the intent that amends it, with what is known."""
        del ranking
        amended = self._amended(reading)
        return self._talk.start(*amended) if amended is not None else None

    def _amended(self, reading: Reading) -> tuple[Intent, dict[str, Found], str] | None:
        done = self._talk.done
        if done is None or done.intent.amended_by is None or not reading.correcting or self._talk.task is not None:
            return None
        intent = self._flow.intent(done.intent.amended_by)
        changed = changes(reading, Task(intent, dict(done.values)), self._context)
        if not changed and reading.direct_correction:
            changed = bare_change(reading, done, self._context)
        if not changed:
            return None
        known = {name: Found(value, 0, 0) for name, value in done.values.items()}
        return intent, {**known, **changed}, f"correction of {done.intent.name}"

    def _goes_on(self, reading: Reading, ranking: Ranking) -> FlowReply | None:
        """More letters of a name, more digits of a number, after the next question was already asked."""
        del ranking
        task, slot = self._talk.task, self._talk.open_slot
        if task is None or slot is None or slot.name not in task.values:
            return None
        hits = [hit for hit in slot.find(reading.words, self._context) if hit.open_ended and covers(reading, hit)]
        if not hits or hits[0].strength > Strength.BARE or self._pending_covers(reading):
            return None
        return self._talk.extend(slot, hits[0], f"more of {slot.name}")

    # --- what the words mean ------------------------------------------------------------------------------------

    def _flow_intent(self, ranking: Ranking) -> Intent | None:
        best = ranking.best
        return None if best is None or best.intent in set(Request) else self._flow.intent(best.intent)

    def _meaning(self, reading: Reading, ranking: Ranking) -> FlowReply | None:
        best, intent, task = ranking.best, self._flow_intent(ranking), self._talk.task
        if best is None:
            return None
        if intent is None:
            return None  # a request that is not plain is none
        found = take(reading, intent.slots, self._context)
        decision = _likeness("intent", best)
        if intent.is_question:
            values = {name: hit.value for name, hit in found.items()}
            sentences = intent.word(intent.reply, values) if intent.reply is not None else ""
            if intent.hang_up:
                return self._talk.close((sentences,), decision)
            return self._talk.back_to_question((sentences,), decision)
        if task is not None and task.intent == intent:
            return self._talk.settle(differing(found, task.values), decision)
        if task is not None and not ranking.is_strong(best) and take(reading, task.intent.slots, self._context):
            return None  # more likely another value for what is being settled
        return self._talk.start(intent, found, decision)

    def _values(self, reading: Reading, ranking: Ranking) -> FlowReply | None:
        """Values without a word about what they are for."""
        del ranking
        talk, task = self._talk, self._talk.task
        if task is not None:
            pending = talk.expects.slot if talk.expects is not None else task.missing()
            found = differing(take(reading, task.intent.slots, self._context, pending=pending), task.values)
            return talk.settle(found, "values") if found else None
        best: tuple[int, Intent, dict[str, Found]] | None = None
        for intent in self._flow.intents:
            found = {} if intent.is_question else take(reading, intent.slots, self._context, least=Strength.SURE)
            if len(found) >= 2 and (best is None or len(found) > best[0]):
                best = len(found), intent, found
        return talk.start(best[1], best[2], f"values of {best[1].name}") if best is not None else None

    def _pending_found(self, reading: Reading, least: Strength) -> bool:
        expects, task = self._talk.expects, self._talk.task
        if expects is None or expects.slot is None or task is None or not self._talk.asked:
            return False
        found = take(reading, task.intent.slots, self._context, pending=expects.slot).get(expects.slot.name)
        return found is not None and found.strength >= least

    def _pending_covers(self, reading: Reading) -> bool:
        expects = self._talk.expects
        if expects is None or expects.slot is None or expects.slot == self._talk.open_slot or not self._talk.asked:
            return False
        return any(covers(reading, hit) for hit in expects.slot.find(reading.words, self._context))

    def _not_understood(self, reading: Reading) -> FlowReply:
        talk = self._talk
        if reading.words.lower and talk.task is None and self._flow.otherwise is not None:
            intent = self._flow.intent(self._flow.otherwise)
            first = Task(intent).missing() if len(reading) > _FEW and not reading.question else None
            return talk.start(intent, take(reading, intent.slots, self._context, pending=first), "nothing else fits")
        return talk.repair(len(reading), "not understood")


def _likeness(what: str, match: Match) -> str:
    return f"{what} {match.intent} ({match.score:.2f})"
