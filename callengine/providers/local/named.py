"""The embedded parts by name, for a place in a row of providers."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs

from callengine.errors import ConfigurationError
from callengine.ports import SessionContext


@attrs.frozen
class Local:
    """The embedded recogniser, or voice: ``stt=[Deepgram(), Local()]``. The engine loads it before it takes calls."""

    @property
    def name(self) -> str:
        return "local"

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[Any]:
        """Nothing to open yet: raises `ConfigurationError`."""
        del context
        raise ConfigurationError(
            "Local() stands for models that an engine loads: name it in an Agent, or use "
            "callengine.providers.local.models.open_local_models()"
        )
