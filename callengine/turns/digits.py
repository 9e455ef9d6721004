"""Keys of the telephone, gathered into entries: one call's pure state machine.

``pressed`` takes a key with its time and returns what must be done, in order; ``next_check`` is the next moment at
which it wants to be asked again with ``tick``, or infinity.

The rules:

- An entry is over with its terminator, with its last key where it has a maximum length, or when no key has come for
  ``inter_digit``. Every key is in exactly one entry, in order; the terminator and the clear key are in none.
- A terminator alone is an empty entry: "nothing keyed in" is an answer too.
- People press the terminator of an entry that is over without it. As the next key, within ``inter_digit`` of the end of
  that entry, it still belongs to it and means nothing.
- A key that comes exactly ``inter_digit`` after the last one begins the next entry.
- What is no key at all is ignored and counted.

Digits may be a PIN or the number of a card: nothing here shows one, in a ``repr`` or in a reason.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import attrs

from callengine.errors import ConfigurationError

KEYS = frozenset("0123456789*#ABCD")
"""The sixteen keys of DTMF (ITU-T Q.23); few telephones have the last four."""

EndedBy: TypeAlias = Literal["terminator", "length", "pause", "flush"]
"""What ended an entry."""


def _key_or_none(_: Any, field: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and value not in KEYS:
        raise ConfigurationError(
            f"DigitSettings.{field.name} is {value!r}: give one of the keys 0-9, *, #, A-D, or None for no such key"
        )


@attrs.frozen(kw_only=True)
class DigitSettings:
    """When an entry is over. Times in seconds. Raises `ConfigurationError` for what cannot work."""

    max_length: int | None = attrs.field(default=None)
    """Keys of the longest entry, which is over with the last of them; None for no limit (the default of Twilio's
    ``<Gather>``: https://www.twilio.com/docs/voice/twiml/gather)."""
    terminator: str | None = attrs.field(default="#", validator=_key_or_none)
    """The key that ends an entry and is not part of it; None for none. ``#`` is what ``<Gather>`` has."""
    inter_digit: float = attrs.field(default=3.0)
    """How long after a key the next one is waited for. 3 s is the default of Sinch's ``timeoutMills``
    (https://developers.sinch.com/sdk/sinch-sdk-node/1.5.0/interfaces/Voice.ConferenceDtmfOptions.html); ``<Gather>``
    has 5 s, which must do for the first key too. How long that one is waited for is the listener's business here."""
    clear_key: str | None = attrs.field(default=None, validator=_key_or_none)
    """The key that makes the caller begin again, ``*`` as a rule; None for none: then ``*`` is a key like others."""

    @max_length.validator
    def _one_or_more(self, _: Any, value: int | None) -> None:
        if value is not None and value < 1:
            raise ConfigurationError(f"DigitSettings.max_length is {value}: give 1 or more, or None for no limit")

    @inter_digit.validator
    def _above_zero(self, _: Any, value: float) -> None:
        if not 0 < value < math.inf:
            raise ConfigurationError(f"DigitSettings.inter_digit is {value}: give seconds above 0, 3 as a rule")

    @clear_key.validator
    def _not_the_terminator(self, _: Any, value: str | None) -> None:
        if value is not None and value == self.terminator:
            raise ConfigurationError(
                f"DigitSettings.clear_key and terminator are both {value!r}: give each a key of its own"
            )


@attrs.frozen
class DigitsEntered:
    """The caller's entry is over."""

    digits: str = attrs.field(repr=False)
    """The keys in their order, without the terminator; empty where that was pressed alone."""
    times: tuple[float, ...]
    """When each of them was pressed."""
    ended_by: EndedBy
    reason: str


@attrs.frozen
class DigitsCleared:
    """The caller takes back what he has keyed in of this entry, and begins again."""

    reason: str


@attrs.frozen
class KeyIgnored:
    """The key means nothing: it interrupts nobody and is no sign of an answer."""

    reason: str


Action: TypeAlias = DigitsEntered | DigitsCleared | KeyIgnored


@attrs.frozen
class _Key:
    digit: str = attrs.field(repr=False)
    at: float


class DigitCollector:
    """Gathers, for one call. See the module's text for the rules. Times are seconds on one clock, and never go back."""

    def __init__(self, settings: DigitSettings) -> None:
        self._usual = settings
        self._settings = settings
        self._keys: list[_Key] = []
        """Of the entry that is under way."""
        self._belated: tuple[str, float] | None = None
        """The terminator that an entry ended without, and the moment until which it still belongs to that."""
        self.ignored = 0
        """Keys so far that meant nothing."""

    @property
    def pending(self) -> bool:
        """Whether an entry is under way."""
        return bool(self._keys)

    @property
    def next_check(self) -> float:
        """The moment at which the entry is over without another key; infinity if none is under way."""
        return self._keys[-1].at + self._settings.inter_digit if self._keys else math.inf

    def pressed(self, at: float, digit: str) -> list[Action]:
        """A key was pressed; returns what must be done, in order."""
        if digit not in KEYS:
            self.ignored += 1
            return [*self.tick(at), KeyIgnored("not a key of a telephone")]
        return [*self.tick(at), *self._take(_Key(digit, at))]

    def tick(self, at: float) -> list[Action]:
        """Do what is due at this moment."""
        due = self.next_check
        if at < due:
            return []
        count = len(self._keys)
        reason = f"no key for {self._settings.inter_digit:g} s after {_count(count)}"
        return [self._over("pause", reason, due)]

    def expect(self, settings: DigitSettings | None) -> list[Action]:
        """Gather by other settings from now on; None for those of the beginning.

        What is under way goes on by them: keys that came before they were asked for count. Where that is a whole entry
        by now, or more, it is returned.
        """
        self._settings = self._usual if settings is None else settings
        keys, self._keys = self._keys, []
        return [action for key in keys for action in self._take(key)]

    def flush(self, at: float) -> list[Action]:
        """The entry under way, if any, ends here: the call is over, or the listener does not wait any longer."""
        actions = self.tick(at)
        if self._keys:
            actions.append(self._over("flush", f"cut short after {_count(len(self._keys))}", at))
        return actions

    # --- inside ---------------------------------------------------------------------------------------------------

    def _take(self, key: _Key) -> list[Action]:
        settings = self._settings
        belated, self._belated = self._belated, None
        if belated is not None and key.digit == belated[0] and key.at < belated[1]:
            self.ignored += 1
            return [KeyIgnored("the terminator of an entry that was over already")]
        if key.digit == settings.terminator:
            return [self._over("terminator", f"the terminator came after {_count(len(self._keys))}", key.at)]
        if key.digit == settings.clear_key:
            count = len(self._keys)
            self._keys = []
            return [DigitsCleared(f"the clear key came after {_count(count)}")]
        self._keys.append(key)
        if len(self._keys) == settings.max_length:
            return [self._over("length", f"{_count(settings.max_length)}, as many as an entry has", key.at)]
        return []

    def _over(self, by: EndedBy, reason: str, at: float) -> DigitsEntered:
        keys, self._keys = self._keys, []
        terminator = self._settings.terminator
        if by in ("length", "pause") and terminator is not None:
            self._belated = (terminator, at + self._settings.inter_digit)
        return DigitsEntered("".join(key.digit for key in keys), tuple(key.at for key in keys), by, reason)


def _count(keys: int) -> str:
    return f"{keys} key" if keys == 1 else f"{keys} keys"
