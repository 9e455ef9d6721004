"""Putting a user's own settings over ours, where settings are nested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merged(settings: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """These settings with those of ``over`` put in their place, at every depth: an object is merged with an object,
    anything else replaces what was there. Neither is changed."""
    both = dict(settings)
    for name, value in over.items():
        ours = both.get(name)
        both[name] = merged(ours, value) if isinstance(ours, Mapping) and isinstance(value, Mapping) else value
    return both
