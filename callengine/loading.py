"""Finding and loading what an agent's calls need, when the engine starts."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import attrs
import trio

from callengine.brain.agent import Agent
from callengine.brain.dialogue import PreparedFlow
from callengine.brain.flows.message import message_flow
from callengine.call.parts import CallParts
from callengine.errors import ConfigurationError, MissingExtra
from callengine.ports import (
    EchoCanceller,
    EndOfTurn,
    EndOfTurnModel,
    LanguageModel,
    SentenceEncoder,
    SpeechToText,
    TextToSpeech,
)
from callengine.providers.echo.webrtc import WebRtcEchoCanceller
from callengine.providers.llm.discover import Found, find_language_model
from callengine.providers.local.named import Local

if TYPE_CHECKING:
    from callengine.brain.flow import Flow
    from callengine.providers.local.models import LocalModels

T = TypeVar("T")

KEPT = 64
"""Flows and turn detectors of an engine's agents that stay prepared."""

log = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[str, float], None]
"""Called with what is being loaded and the part of the whole that is done (0 to 1)."""


@attrs.define
class _Local:
    """The embedded models, opened at the first need."""

    stack: AsyncExitStack
    progress: Progress | None
    models: LocalModels | None = None

    async def get(self, what: str) -> LocalModels:
        if self.models is None:
            try:
                from callengine.providers.local.models import open_local_models
            except ModuleNotFoundError as error:
                raise MissingExtra(what, "local", error.name or "onnxruntime") from error
            self.models = await self.stack.enter_async_context(open_local_models(self.progress))
        return self.models


class PartsLoader:
    """Finds and loads the parts of agents. What is loaded stays loaded until ``stack`` is left, and is shared.

    ``models`` are embedded models that are loaded already; ``inline`` runs others without threads.
    """

    def __init__(
        self,
        stack: AsyncExitStack,
        *,
        progress: Progress | None = None,
        environ: Mapping[str, str] | None = None,
        models: LocalModels | None = None,
        inline: bool = False,
    ) -> None:
        self._local = _Local(stack, progress, models)
        self._environ = os.environ if environ is None else environ
        self._progress = progress
        self._inline = inline
        self._lock = trio.Lock()
        self._kept: OrderedDict[tuple[str, int], tuple[object, Any]] = OrderedDict()
        """What was made of an agent's flow or turn detector, and that (so that its ``id`` stays its own)."""

    async def parts(self, agent: Agent, *, story: bool) -> CallParts:
        """Everything that ``agent`` names, and the embedded or discovered parts for what it does not.

        Raises `MissingExtra` where packages are not installed, `ConfigurationError` where a part cannot do what the
        agent wants.
        """
        if not agent.stt or not agent.tts:
            _check_language(agent)
        async with self._lock:
            stt = [await self._recogniser(one) for one in agent.stt or (Local(),)]
            tts = [await self._voice(one) for one in agent.tts or (Local(),)]
            second = None if agent.second_stt is None else await self._recogniser(agent.second_stt)
            llm, flow = ((), None) if story else await self._brain(agent)
            detector = await self._turn_detector(agent)
            return CallParts(tuple(stt), tuple(tts), llm, flow, _echo(agent), detector, second)

    async def _recogniser(self, recipe: SpeechToText) -> SpeechToText:
        if not isinstance(recipe, Local):
            return recipe
        return (await self._local.get("the embedded speech recogniser")).stt

    async def _voice(self, recipe: TextToSpeech) -> TextToSpeech:
        return (await self._local.get("the embedded voice")).tts if isinstance(recipe, Local) else recipe

    async def _brain(self, agent: Agent) -> tuple[tuple[LanguageModel, ...], PreparedFlow | None]:
        if agent.llm:
            return agent.llm, None
        if agent.flow is not None:
            return (), await self._once("flow", agent.flow, partial(self._prepare, agent, agent.flow))
        found = await self._once("llm", self, self._find_language_model)
        if found is not None:
            return (found,), None
        return (), await self._prepare(agent, message_flow(agent.prompt))

    async def _find_language_model(self) -> LanguageModel | None:
        found = await find_language_model(self._environ)
        if isinstance(found, Found):
            log.info("language model: %s", found.how)
            return found.recipe
        log.warning("%s", found.message)
        return None

    async def _prepare(self, agent: Agent, flow: Flow) -> PreparedFlow:
        return await PreparedFlow.prepare(flow, await _encoder(agent, self._local))

    async def _turn_detector(self, agent: Agent) -> EndOfTurn | None:
        detector = agent.turn_detector
        if not isinstance(detector, EndOfTurnModel):
            return detector
        if self._progress is not None:
            self._progress("the turn detector", 0.0)
        return await self._once("detector", detector, partial(detector.load, inline=self._inline))

    async def _once(self, what: str, key: object, make: Callable[[], Awaitable[T]]) -> T:
        """What was made of this, or make it; the `KEPT` last used ones are remembered."""
        name = (what, id(key))
        if name not in self._kept:
            self._kept[name] = (key, await make())
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return cast("T", self._kept[name][1])


def _check_language(agent: Agent) -> None:
    if not agent.language.lower().startswith("en"):
        raise ConfigurationError(
            f"the agent's language is {agent.language!r}, and the embedded speech parts know English only: "
            "name stt= and tts= for that language, or set language='en'"
        )


async def _encoder(agent: Agent, local: _Local) -> SentenceEncoder | None:
    """The embedded sentence encoder if it is there anyway, or can be; flows do without as well."""
    if local.models is None and importlib.util.find_spec("onnxruntime") is None:
        return None
    if local.models is None and agent.stt and agent.tts:
        return None  # a program that brings its own speech parts does not pay for the embedded models
    return (await local.get("the embedded sentence encoder")).encoder


def _echo(agent: Agent) -> EchoCanceller | None:
    if agent.aec == "off":
        return None
    if agent.echo_canceller is not None:
        return agent.echo_canceller
    if importlib.util.find_spec("pywebrtc_audio") is not None:
        return WebRtcEchoCanceller()
    if agent.aec == "on":
        raise MissingExtra("echo cancellation (aec='on')", "local", "pywebrtc-audio")
    log.info("no echo canceller is installed: a caller on a loudspeaker may interrupt the agent with its own voice")
    return None
