"""The embedded models for labs whose calls keep a real recogniser: loaded once, used by many tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from callengine.providers.local.models import LocalModels


class ModelShelf:
    """Loads the embedded models when they are first asked for (about a second), and keeps them as long as it lives."""

    def __init__(self) -> None:
        self._loaded: LocalModels | None = None

    def models(self, *, inline: bool) -> LocalModels:
        """The models, for the ``trio.run`` that is going on. ``inline`` runs them in the task that asks: the virtual
        clock does not wait for threads, so inference takes no virtual time. Raises `MissingExtra`."""
        from callengine.providers.local.models import load_local_models_sync
        from callengine.providers.local.workers import Workers

        if self._loaded is None:
            self._loaded = load_local_models_sync()
        return self._loaded.using(Workers(inline=inline))
