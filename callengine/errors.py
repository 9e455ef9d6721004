"""Errors that the engine raises. Each one says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from callengine.outcome import Outcome

ProviderFault: TypeAlias = Literal["fatal", "retry", "reopen"]
CarrierFault: TypeAlias = Literal["configuration", "rejected", "gone", "rate", "unavailable"]


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

    ``fault`` says what helps: nothing but another provider (``fatal``: a bad key, no credit, a parameter or a voice
    that it does not know), another try after a pause (``retry``: the network, a rate limit, a server's error), or a new
    session at once (``reopen``: this one has come to its ordinary end). ``retry_after`` is the pause in seconds that
    the vendor asked for. The message is the vendor's, without any key.
    """

    def __init__(
        self, provider: str, message: str, *, fault: ProviderFault = "retry", retry_after: float | None = None
    ) -> None:
        super().__init__(f"{provider}: {message}")
        self.provider = provider
        self.fault: ProviderFault = fault
        self.retry_after = retry_after

    @property
    def retryable(self) -> bool:
        """Whether the same provider may succeed at another try."""
        return self.fault != "fatal"


class CarrierError(CallEngineError):
    """A carrier did not do what it was asked for.

    ``fault`` says whose: ``configuration`` (credentials, a number that is not the account's), ``rejected`` (it will not
    do this, now or later), ``gone`` (the leg is over), ``rate`` (too many requests, also after waiting),
    ``unavailable`` (no answer, or a server's error: it may have been done or not). ``code`` is the carrier's own. The
    message is the carrier's, without any key or full number.
    """

    def __init__(self, carrier: str, message: str, *, fault: CarrierFault, code: str = "") -> None:
        super().__init__(f"{carrier}: {message}" + (f" ({code})" if code else ""))
        self.carrier = carrier
        self.fault: CarrierFault = fault
        self.code = code


class NotSupported(CallEngineError):
    """This carrier cannot do that; `Capabilities` says so before it is tried."""

    def __init__(self, carrier: str, what: str) -> None:
        super().__init__(f"{carrier} cannot {what}: ask call.capabilities first, or use another carrier")
        self.carrier = carrier


class NotAllowed(CallEngineError):
    """A number is not on the list of those that this agent's calls may reach."""


class TransferFailed(CallEngineError):
    """Nobody took the caller over: the call goes on. ``result`` is ``no answer``, ``busy``, ``declined`` ...

    The message has the carrier's reason.
    """

    def __init__(self, result: str, reason: str = "") -> None:
        super().__init__(f"the transfer failed: {result}" + (f" ({reason})" if reason and reason != result else ""))
        self.result = result


class WebhookError(CallEngineError):
    """A webhook lacks something or is malformed: answer 400. The message does not quote it."""


class EngineStopped(CallEngineError):
    """The engine stopped before it could be known."""


class CallEnded(CallEngineError):
    """The call was over, or ended, while the program wanted to speak or listen. ``outcome`` says how it ended."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"the call has ended: {outcome.ended_by} ({outcome.reason})")
        self.outcome = outcome
