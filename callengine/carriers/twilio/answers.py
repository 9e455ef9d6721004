"""What webhooks are answered. No I/O."""

from __future__ import annotations

from callengine.carriers.twilio.twiml import NOTHING, twiml
from callengine.telephony import CallbackUrls, Instruction, Refuse, Webhook, WebhookAnswer

_ASKING = frozenset({"voice", "instructions", "transfer"})
"""Webhooks whose answer a leg carries out."""


def answer(webhook: Webhook, instruction: Instruction | None, urls: CallbackUrls | None) -> WebhookAnswer:
    """The answer: TwiML where a leg waits for it, which without an instruction is refused or hung up.

    Text messages are taken without a reply: replies are messages of their own, whose fate is told.
    """
    if webhook.what in _ASKING:
        text = twiml(Refuse() if instruction is None else instruction, urls, live=webhook.what != "voice")
        return WebhookAnswer(200, text, "text/xml")
    if webhook.what == "message":
        return WebhookAnswer(200, NOTHING, "text/xml")
    return WebhookAnswer()
