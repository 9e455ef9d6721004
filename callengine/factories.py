"""Vendors and carriers by name, as a configuration file has them: ``create_stt("deepgram/nova-3")``.

A name may be spelled as the class is (``DeepgramFlux``), or with other separators. What is behind a slash is the
second argument. Whatever cannot be made raises `ConfigurationError`, which says what there is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import attrs

from callengine.carriers.audiosocket import AudioSocket
from callengine.carriers.keys import FromEnvironment
from callengine.carriers.plivo import Plivo
from callengine.carriers.signalwire import SignalWire
from callengine.carriers.telnyx import Telnyx
from callengine.carriers.twilio import Twilio
from callengine.errors import ConfigurationError
from callengine.ports import LanguageModel, ProviderRole, SpeechToText, TextToSpeech
from callengine.providers.catalogue import Entry, entries, plain
from callengine.reach import check_target
from callengine.switchboard.commands import shown_number
from callengine.telephony import Carrier, NewMessage
from callengine.wire import Wire, open_wire

SMS: Mapping[str, Any] = MappingProxyType(
    {"twilio": Twilio, "signalwire": SignalWire, "telnyx": Telnyx, "plivo": Plivo}
)
"""The carriers that send text messages, by their names."""

CARRIERS: Mapping[str, Any] = MappingProxyType({**SMS, "audiosocket": AudioSocket})
"""The carriers' recipes by their names."""

_KINDS: Mapping[ProviderRole, str] = {"stt": "recogniser", "tts": "voice", "llm": "language model"}


def create_stt(name: str, model: str | None = None, **settings: Any) -> SpeechToText:
    """A recogniser's recipe: ``create_stt("deepgram", language="de")``. Raises `ConfigurationError`."""
    recipe: SpeechToText = _provider("stt", name, "model", model, settings)
    return recipe


def create_tts(name: str, voice: str | None = None, **settings: Any) -> TextToSpeech:
    """A voice's recipe: ``create_tts("cartesia", model="sonic-3")``. Raises `ConfigurationError`."""
    recipe: TextToSpeech = _provider("tts", name, "voice", voice, settings)
    return recipe


def create_llm(name: str, model: str | None = None, **settings: Any) -> LanguageModel:
    """A language model's recipe: ``create_llm("groq/openai/gpt-oss-20b")``; for servers without a name of their own
    ``create_llm("openai_compatible", "qwen3", base_url="http://127.0.0.1:8000/v1")``. Raises `ConfigurationError`."""
    recipe: LanguageModel = _provider("llm", name, "model", model, settings)
    return recipe


def create_carrier(name: str, /, **settings: Any) -> Carrier:
    """A carrier's recipe, with the keys for calls or for commands: ``create_carrier("telnyx", sender="+12025550123")``.

    Raises `ConfigurationError`, also where neither calls nor commands would work.
    """
    carrier: Carrier = _carrier("carrier", name, CARRIERS, settings)
    missing = carrier.missing_configuration()
    if missing is not None and carrier.missing_for_commands() is not None:
        raise ConfigurationError(f"{carrier.name} has no keys: {missing}")
    return carrier


def create_sms(name: str, /, *, wire: Wire | None = None, **settings: Any) -> Sms:
    """What sends text messages through this carrier; the settings are the carrier's.

    ``wire`` has a pool of connections to be used. Raises `ConfigurationError`, also where a key is missing.
    """
    carrier: Carrier = _carrier("carrier for text messages", name, SMS, settings)
    missing = carrier.missing_for_commands()
    if missing is not None:
        raise ConfigurationError(f"{carrier.name} cannot be given commands: {missing}")
    return Sms(carrier, wire)


@attrs.frozen
class Sms:
    """Sends text messages without an engine, which is not told what becomes of them (see `Engine.send_message`)."""

    carrier: Carrier
    wire: Wire | None = None
    """Without one, each message opens a connection of its own."""

    async def send(self, to: str, text: str, sender: str | None = None) -> str:
        """Send ``text`` to a number in E.164; it shows ``sender``, by default the carrier's. Returns the carrier's name
        for it. Bounded in time. Raises `CarrierError`, `ConfigurationError`."""
        if not text.strip():
            raise ConfigurationError("a text message needs a text")
        message = NewMessage(to=check_target(to), sender=shown_number(self.carrier, sender), text=text)
        async with open_wire() if self.wire is None else nullcontext(self.wire) as wire:
            return await self.carrier.control(wire.http).send_message(message)


def _provider(role: ProviderRole, name: str, second: str, value: str | None, settings: dict[str, Any]) -> Any:
    name, slash, behind = name.partition("/")
    if slash and value is not None:
        raise ConfigurationError(f"{name}/{behind} names the {second} already: leave {second}={value!r} out")
    if slash:
        value = behind
    known = {entry.name: entry for entry in entries(role)}
    entry = known.get(_known(name, known))
    if entry is None:
        raise _unknown(_KINDS[role], name, known, map(_listed, known.values()))
    if value is not None:
        settings = {second: value, **settings}
    return _made(entry.name, entry.load(), settings)


def _carrier(kind: str, name: str, known: Mapping[str, Any], settings: dict[str, Any]) -> Any:
    found = _known(name, known)
    if found not in known:
        raise _unknown(kind, name, known, (_listed_carrier(each, recipe) for each, recipe in known.items()))
    return _made(found, known[found], settings)


def _made(name: str, recipe: Any, settings: Mapping[str, Any]) -> Any:
    """The recipe with these settings, of which it must have every one."""
    fields = {field.alias: field for field in attrs.fields(recipe) if field.init}
    for setting in settings:
        if setting not in fields:
            near = get_close_matches(setting, fields, 1)
            meant = f": did you mean {near[0]}?" if near else "."
            has = f"It has {', '.join(fields)}" if fields else "It has none"
            raise ConfigurationError(f"{name} has no setting {setting!r}{meant} {has}")
    needed = [each for each, field in fields.items() if field.default is attrs.NOTHING and each not in settings]
    if needed:
        raise ConfigurationError(f"{name} needs {', '.join(f'{each}=' for each in needed)}")
    return recipe(**settings)


def _known(name: str, known: Iterable[str]) -> str:
    """The name that is meant, however it is spelled; itself where there is none."""
    return next((each for each in known if plain(each) == plain(name)), name)


def _unknown(kind: str, name: str, known: Iterable[str], listed: Iterable[str]) -> ConfigurationError:
    near = get_close_matches(name.lower(), list(known), 1)
    meant = f": did you mean {near[0]!r}?" if near else "."
    return ConfigurationError("\n  ".join([f"there is no {kind} {name!r}{meant} There are:", *listed]))


def _listed(entry: Entry) -> str:
    """A line about a recipe: its name, the variables that it reads, and whether they are set. Never what they hold."""
    found = [
        f"{' or '.join(setting.variables)} ({'set' if setting.is_set() else 'not set'})" for setting in entry.settings()
    ]
    return f"{entry.name}: {', '.join(found) or 'reads no variable'}"


def _listed_carrier(name: str, recipe: Any) -> str:
    found = [
        f"{variable} ({'set' if os.environ.get(variable, '').strip() else 'not set'})"
        for _, variable, _ in carrier_variables(recipe)
    ]
    return f"{name}: {', '.join(found) or 'reads no variable'}"


def carrier_variables(recipe: Any) -> list[tuple[str, str, bool]]:
    """What a carrier's recipe reads from the environment: setting, variable, and whether it is not to be shown."""
    return [
        (field.alias, field.default.factory.variable, field.repr is False)
        for field in attrs.fields(recipe)
        if isinstance(field.default, attrs.Factory) and isinstance(field.default.factory, FromEnvironment)  # type: ignore[arg-type]  # a class at run time, a function to mypy
    ]
