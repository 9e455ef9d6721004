"""Errors that the engine raises. Each one says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from callengine.outcome import Outcome


class CallEngineError(Exception):
    """Base of everything the engine raises on purpose."""


class ConfigurationError(CallEngineError):
    """A setting is missing, contradictory or out of range; the message names it and the remedy."""


class MissingExtra(ConfigurationError):
    """A feature needs packages that are not installed; the message has the install command."""

    def __init__(self, feature: str, extra: str, missing: str) -> None:
        super().__init__(f"{feature} needs the package {missing!r}: pip install 'callengine[{extra}]'")
        self.extra = extra


class WeightsError(ConfigurationError):
    """A model's weight file is absent or is not the file whose checksum was recorded."""


class AudioError(CallEngineError):
    """Audio in a format, rate or shape that cannot be used."""


class SocketClosed(CallEngineError):
    """A media socket is over.

    ``code`` is the WebSocket close code (1006 where the connection broke without one), ``reason`` its text.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"media socket closed: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class ProviderError(CallEngineError):
    """A speech or language provider failed.

    ``retryable`` says whether opening a new session may help. The message is the vendor's, without any key.
    """

    def __init__(self, provider: str, message: str, *, retryable: bool = True) -> None:
        super().__init__(f"{provider}: {message}")
        self.provider = provider
        self.retryable = retryable


class CallEnded(CallEngineError):
    """The call was over, or ended, while the program wanted to speak or listen. ``outcome`` says how it ended."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"the call has ended: {outcome.ended_by} ({outcome.reason})")
        self.outcome = outcome
