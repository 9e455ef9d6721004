"""Finding and loading what an agent's calls need, when the engine starts."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import attrs

from callengine.brain.agent import Agent
from callengine.brain.dialogue import PreparedFlow
from callengine.brain.flows.message import message_flow
from callengine.call.parts import CallParts
from callengine.errors import ConfigurationError, MissingExtra
from callengine.ports import EchoCanceller, LanguageModel, SentenceEncoder, TurnDetector, TurnDetectorModel
from callengine.providers.echo.webrtc import WebRtcEchoCanceller
from callengine.providers.llm.discover import Found, find_language_model

if TYPE_CHECKING:
    from callengine.providers.local.models import LocalModels

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


@asynccontextmanager
async def load_parts(
    agent: Agent,
    *,
    story: bool,
    progress: Progress | None = None,
    environ: Mapping[str, str] | None = None,
    models: LocalModels | None = None,
    inline: bool = False,
) -> AsyncIterator[CallParts]:
    """Everything that ``agent`` names, and the embedded or discovered parts for what it does not.

    ``models`` are embedded models that are loaded already; ``inline`` runs others without threads. Raises
    `MissingExtra` where packages are not installed, `ConfigurationError` where a part cannot do what the agent wants.
    """
    if agent.stt is None or agent.tts is None:
        _check_language(agent)
    async with AsyncExitStack() as stack:
        local = _Local(stack, progress, models)
        stt = agent.stt or (await local.get("the embedded speech recogniser")).stt
        tts = agent.tts or (await local.get("the embedded voice")).tts
        llm, flow = (None, None) if story else await _brain(agent, local, os.environ if environ is None else environ)
        yield CallParts(stt, tts, llm, flow, _echo(agent), await _turn_detector(agent, progress, inline))


def _check_language(agent: Agent) -> None:
    if not agent.language.lower().startswith("en"):
        raise ConfigurationError(
            f"the agent's language is {agent.language!r}, and the embedded speech parts know English only: "
            "name stt= and tts= for that language, or set language='en'"
        )


async def _brain(
    agent: Agent, local: _Local, environ: Mapping[str, str]
) -> tuple[LanguageModel | None, PreparedFlow | None]:
    if agent.llm is not None:
        return agent.llm, None
    if agent.flow is not None:
        return None, await PreparedFlow.prepare(agent.flow, await _encoder(agent, local))
    found = await find_language_model(environ)
    if isinstance(found, Found):
        log.info("language model: %s", found.how)
        return found.recipe, None
    log.warning("%s", found.message)
    flow = message_flow(agent.prompt)
    return None, await PreparedFlow.prepare(flow, await _encoder(agent, local))


async def _encoder(agent: Agent, local: _Local) -> SentenceEncoder | None:
    """The embedded sentence encoder if it is there anyway, or can be; flows do without as well."""
    if local.models is None and importlib.util.find_spec("onnxruntime") is None:
        return None
    if local.models is None and agent.stt is not None and agent.tts is not None:
        return None  # a program that brings its own speech parts does not pay for the embedded models
    return (await local.get("the embedded sentence encoder")).encoder


async def _turn_detector(agent: Agent, progress: Progress | None, inline: bool) -> TurnDetector | None:
    detector = agent.turn_detector
    if not isinstance(detector, TurnDetectorModel):
        return detector
    if progress is not None:
        progress("the turn detector", 0.0)
    return await detector.load(inline=inline)


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
