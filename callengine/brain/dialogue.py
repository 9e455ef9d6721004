"""The dialogue of a call through a flow.

Decisions are synchronous and pure: the same turns give the same replies. Only the likeness of sentences may come from
a model, and is awaited before anything is decided.
"""

from __future__ import annotations

import datetime

from callengine.brain.flow import Flow
from callengine.brain.matching import IntentMatcher, LexicalMatcher, Matcher, Ranking
from callengine.brain.reading import Reading
from callengine.brain.replies import FlowAction, FlowReply
from callengine.brain.slots import SlotContext
from callengine.brain.talk import Talk
from callengine.brain.task import Task
from callengine.brain.understanding import Understanding
from callengine.ports import SentenceEncoder

__all__ = ["Dialogue", "FlowAction", "FlowReply", "PreparedFlow"]

_WAITS = 2
"""How often in a row an unfinished sentence is waited for."""


class PreparedFlow:
    """A flow with its examples embedded: made once by an engine, shared by all its calls."""

    def __init__(self, flow: Flow, matcher: Matcher) -> None:
        self.flow = flow
        self._matcher = matcher

    @classmethod
    async def prepare(cls, flow: Flow, encoder: SentenceEncoder | None) -> PreparedFlow:
        """Embed the examples with ``encoder``, or count their words where there is none.

        Raises what the encoder raises.
        """
        if encoder is None:
            return cls(flow, LexicalMatcher(flow.examples))
        return cls(flow, await IntentMatcher.prepare(encoder, flow.examples))

    def dialogue(self, *, today: datetime.date) -> Dialogue:
        """The dialogue of a new call. ``today`` is the day that "tomorrow" follows, where the callers are."""
        return Dialogue(self.flow, self._matcher, today=today)


class Dialogue:
    """One call's dialogue.

    `answer` takes a turn and returns the reply. When a reply has an action, say its sentences, run it, and report with
    `acted` or `failed`. When a reply was cut, tell `interrupted` what was heard of it; its action, if it was not run
    yet, is then taken back, and confirmed once more. A dialogue holds nothing that has to be released.
    """

    def __init__(self, flow: Flow, matcher: Matcher, *, today: datetime.date) -> None:
        self._manners = flow.manners
        self._matcher = matcher
        self._context = SlotContext(today)
        self._talk = Talk(flow, self._context)
        self._understanding = Understanding(flow, self._talk, self._context)
        self._carried = ""
        self._waits = 0
        self._acting: Task | None = None

    async def answer(self, text: str) -> FlowReply:
        """The reply to a caller's turn. Raises what a sentence encoder raises, and then nothing has changed."""
        said = text.strip()
        if not self._carried:
            return self.decide(said, await self._matcher.rank(said))
        # the beginning ("so what I wanted to ask is") says little: the rest is also compared alone
        ranking = await self._matcher.rank(f"{self._carried}. {said}")
        return self.decide(f"{self._carried} {said}", ranking)

    def decide(self, text: str, ranking: Ranking) -> FlowReply:
        """The reply to ``text`` (what was carried over included), given its likeness to the intents."""
        reading = Reading.of(text, self._manners, self._context)
        if self._waits < _WAITS and self._understanding.waits_for_more(reading):
            self._carried, self._waits = text.strip().rstrip(".,;!").rstrip(), self._waits + 1
            sentence = self._manners.go_on if self._waits == 1 else self._manners.listening
            return self._talk.remark((sentence,), "unfinished sentence, waiting for the rest")
        self._carried, self._waits = "", 0
        reply = self._understanding.reply(reading, ranking)
        if reply.action is not None:
            self._acting = self._talk.done
        return reply

    def interrupted(self, heard: str) -> None:
        """The last reply was cut when the caller had heard ``heard`` of it: a question behind that was not asked."""
        if self._acting is not None:
            self._talk.take_back(self._acting)
            self._acting = None
        self._talk.cut(heard)

    def acted(self, result: str | None) -> FlowReply:
        """The action is over: what follows. ``result`` is what its function returned."""
        task = self._reported()
        return self._talk.finish(task, result, (), f"{task.intent.name} done")

    def failed(self) -> FlowReply:
        """The action's function raised: an apology, and another way where the flow has one."""
        task = self._reported()
        self._talk.done = None
        return self._talk.offer((self._manners.failed,), f"{task.intent.name} failed")

    def _reported(self) -> Task:
        task, self._acting = self._acting, None
        if task is None:
            raise RuntimeError("acted() and failed() report on the action of the last FlowReply, once each")
        return task
