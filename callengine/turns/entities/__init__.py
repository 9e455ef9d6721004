"""How far is what the caller was asked for? Phone numbers, dates, spelled names: nobody is cut in their middle."""

from callengine.turns.entities.judging import progress
from callengine.turns.entities.kinds import EntityKind, Expectation, Progress

__all__ = ["EntityKind", "Expectation", "Progress", "progress"]
