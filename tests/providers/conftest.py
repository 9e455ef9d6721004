"""The local models, loaded once for all tests here."""

from __future__ import annotations

import pytest

from callengine.providers.local.models import LocalModels, load_local_models_sync
from callengine.providers.local.workers import Workers


@pytest.fixture(scope="session")
def loaded_models() -> LocalModels:
    """Loaded models. A pool of workers belongs to one run: take ``loaded_models.using(Workers(...))`` in a test."""
    return load_local_models_sync(Workers(inline=True))


@pytest.fixture
def models(loaded_models: LocalModels) -> LocalModels:
    """The models with inference in the calling task, for tests on a virtual clock."""
    return loaded_models.using(Workers(inline=True))
