"""Models that hear whether the caller has finished his turn."""

from callengine.providers.turn_detection.smart_turn import LoadedSmartTurn, SmartTurn

__all__ = ["LoadedSmartTurn", "SmartTurn"]
