"""A second recogniser for the same audio, for comparison. It can neither delay nor harm the first."""

from __future__ import annotations

import logging
from typing import Protocol

from callengine.call.stt import Transcriber
from callengine.cleanup import single
from callengine.errors import ProviderError
from callengine.events import Fact, Transcript
from callengine.journal import Journal

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is told of the caller's speech; see `Transcriber` for what each method means. None of them waits."""

    def start(self, utterance: int, audio_from: int) -> None: ...

    def waits_for(self, utterance: int) -> bool: ...

    def pause(self, utterance: int) -> None: ...

    def resume(self, utterance: int) -> None: ...

    def end(self, utterance: int) -> None: ...

    def audio_arrived(self) -> None: ...


class Tee:
    """Tells two recognisers of the same speech. What the call asks is answered by the first."""

    def __init__(self, first: Transcriber, second: Transcriber) -> None:
        self._first = first
        self._second = second

    def start(self, utterance: int, audio_from: int) -> None:
        """See `Transcriber.start`."""
        self._first.start(utterance, audio_from)
        self._second.start(utterance, audio_from)

    def waits_for(self, utterance: int) -> bool:
        """See `Transcriber.waits_for`."""
        return self._first.waits_for(utterance)

    def pause(self, utterance: int) -> None:
        """See `Transcriber.pause`."""
        self._first.pause(utterance)
        self._second.pause(utterance)

    def resume(self, utterance: int) -> None:
        """See `Transcriber.resume`."""
        self._first.resume(utterance)
        self._second.resume(utterance)

    def end(self, utterance: int) -> None:
        """See `Transcriber.end`."""
        self._first.end(utterance)
        self._second.end(utterance)

    def audio_arrived(self) -> None:
        """See `Transcriber.audio_arrived`."""
        self._first.audio_arrived()
        self._second.audio_arrived()


class SecondOpinion:
    """What the second recogniser says: written into the journal."""

    def __init__(self, journal: Journal, provider: str) -> None:
        self._journal = journal
        self._provider = provider

    def post(self, fact: Fact) -> None:
        """Take what the second one has heard."""
        if isinstance(fact, Transcript):
            self._journal.note(
                "transcript.second",
                provider=self._provider,
                utterance=fact.utterance,
                text=fact.text,
                final=fact.final,
            )

    async def listen(self, second: Transcriber) -> None:
        """Run the second one. When it fails for good, that is noted, and is nothing to the call."""
        try:
            await second.run()
        except* ProviderError:  # noted when it happened
            log.warning("the second recogniser, %s, is given up for this call", self._provider)
        except* Exception as group:
            log.error("the second recogniser, %s, failed", self._provider, exc_info=single(group))
