"""Settings of carriers that come from the environment, unless they are given."""

from __future__ import annotations

import os

import attrs


@attrs.frozen
class FromEnvironment:
    """A setting's default: what this environment variable says when the recipe is made."""

    variable: str

    def __call__(self) -> str | None:
        return os.environ.get(self.variable)


def empty_is_none(value: str | None) -> str | None:
    """Empty settings are those that are not there; blanks around others are copied by mistake."""
    return None if value is None else value.strip() or None
