"""What every flow does alike: the requests that any caller may make, and the sentences around a flow's own."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import attrs

from callengine.brain.slots import SlotKind, YesNo


class Request(StrEnum):
    """What callers ask of any agent, whatever it is for."""

    AGAIN = "again"
    STILL_THERE = "still_there"
    WAIT = "wait"
    THANKS = "thanks"
    ACKNOWLEDGED = "acknowledged"
    SOMETHING_ELSE = "something_else"
    NOT_WHAT_I_ASKED = "not_what_i_asked"
    NEVER_MIND = "never_mind"
    HELP = "help"
    HELLO = "hello"
    GOODBYE = "goodbye"


REQUESTS: Mapping[Request, tuple[str, ...]] = {
    Request.AGAIN: (
        "could you say that again please",
        "sorry I did not catch that",
        "can you repeat that",
        "pardon",
        "what did you say",
        "I did not hear you",
        "come again",
        "what",
        "sorry",
        "excuse me",
        "say that once more",
    ),
    Request.STILL_THERE: (
        "hello are you still there",
        "are you there",
        "is anybody there",
        "hello can you hear me",
    ),
    Request.WAIT: (
        "wait",
        "wait wait",
        "wait a moment",
        "hold on a second",
        "hold on please",
        "hang on",
        "one moment please",
        "just a minute",
        "stop",
        "stop please",
        "let me think",
        "um let me think",
        "let me check",
    ),
    Request.THANKS: ("thank you", "thank you very much", "thanks a lot", "thanks", "many thanks", "that is very kind"),
    Request.ACKNOWLEDGED: ("okay", "okay okay", "all right", "I see", "right", "mm hmm", "uh huh", "got it", "fine"),
    Request.SOMETHING_ELSE: (
        "excuse me can I ask something else",
        "I have another question",
        "can I ask you something",
        "one more thing",
        "I have a question",
    ),
    Request.NOT_WHAT_I_ASKED: (
        "that is not what I asked",
        "you did not answer my question",
        "that was not my question",
        "you misunderstood me",
        "no that is not what I meant",
    ),
    Request.NEVER_MIND: (
        "never mind",
        "forget it",
        "forget about it",
        "leave it",
        "actually forget that",
        "I changed my mind",
        "cancel that",
    ),
    Request.HELP: (
        "what can you do",
        "how can you help me",
        "what can I ask you",
        "who are you",
        "are you a robot",
        "are you a real person",
        "what is this",
    ),
    Request.HELLO: ("hello", "hi", "hi there", "good evening", "good morning", "good afternoon", "hello good evening"),
    Request.GOODBYE: (
        "goodbye",
        "bye",
        "bye bye",
        "thanks goodbye",
        "all right bye bye",
        "thank you goodbye",
        "have a nice day",
        "good night",
        "that is all",
        "that is all thank you",
        "nothing else thank you",
        "nope that is all",
        "no that is everything",
        "see you then",
    ),
}
"""How callers put the requests in English."""


@attrs.frozen
class Manners:
    """The dialogue's own English. A flow in another language brings its own, all of it, with ``requests`` and a
    yes/no kind of that language.

    ``{can}`` stands for what the flow can do, ``{ask}`` for a question, ``{hint}`` for an example, ``{value}`` for a
    value as it is spoken.
    """

    requests: Mapping[Request, tuple[str, ...]] = attrs.field(factory=lambda: dict(REQUESTS), hash=False)
    yes_no: SlotKind = attrs.field(factory=YesNo)

    taken: tuple[str, ...] = ("Thank you.", "All right.", "Good.")
    """Said in turn when an answer was understood."""
    changed: str = "{value}, then."
    rest_right: str = "And the rest is right?"
    what_to_change: str = "Sorry about that. What should I change?"
    again_from_start: str = "Sorry. Then once more: {ask}"
    go_on: str = "Go on."
    listening: str = "Yes, I am listening."
    repeat: str = "Of course."
    still_here: str = "Yes, I am still here."
    take_your_time: str = "Of course, take your time."
    welcome: str = "You are welcome."
    hello: str = "Hello! How can I help?"
    something_else: str = "Of course. What would you like to know?"
    apology: str = "I am sorry. What would you like to know?"
    left_off: str = "All right, we leave that."
    anything_else: str = "Can I help you with anything else?"
    what_for_you: str = "What can I do for you?"
    unheard: str = "Sorry, I could not hear you."
    not_understood: str = "Sorry, I did not get that."
    example: str = "You could say, for example: {hint}."
    cannot: str = "I am afraid I cannot help with that."
    can: str = "I am the answering system here, not a person. I can {can}."
    i_can: str = "I can {can}."
    gave_up: str = "I am sorry, I still did not understand you."
    failed: str = "I am sorry, that did not work just now."
    moment: str = "One moment, please."
    goodbye: str = "Goodbye!"


ENGLISH = Manners()
"""The manners of a flow that names none."""
