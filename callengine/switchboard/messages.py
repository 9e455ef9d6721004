"""Text messages: sent, and answered."""

from __future__ import annotations

from callengine.errors import ConfigurationError
from callengine.observers import Observers
from callengine.reach import check_target
from callengine.switchboard.commands import Commands, shown_number
from callengine.switchboard.owner import DECIDE
from callengine.switchboard.references import new_name
from callengine.telephony import IncomingMessage, NewMessage


class Messages:
    """An engine's text messages."""

    def __init__(self, commands: Commands, observers: Observers) -> None:
        self._commands = commands
        self._observers = observers

    async def send(self, to: str, text: str, *, sender: str | None = None, carrier: str | None = None) -> str:
        """Send a text message; see `callengine.Engine.send_message`."""
        carriers = self._commands.carriers
        able = [name for name, recipe in carriers.items() if recipe.capabilities.messages]
        name = carrier or next((name for name in able if carriers[name].missing_for_commands() is None), None)
        if name is None or name not in able:
            raise ConfigurationError(f"no carrier with its keys sends messages: {', '.join(able) or 'none can'}")
        shown = shown_number(carriers[name], sender)
        if not text.strip():
            raise ConfigurationError("a text message needs a text")
        urls = self._commands.urls(name, new_name())
        return await self._commands.control(name).send_message(
            NewMessage(to=check_target(to), sender=shown, text=text, urls=urls)
        )

    async def receive(self, carrier: str, message: IncomingMessage) -> None:
        """Tell the application, and send what it answers."""
        answer = await self._observers.message_received(message, DECIDE)
        if answer:
            await self.send(message.sender, answer, sender=message.recipient, carrier=carrier)
