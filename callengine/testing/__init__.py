"""The call lab: whole calls in tests, in virtual time, against the code that serves real ones."""

from callengine.testing.caller import Caller
from callengine.testing.carrier import CarrierSettings
from callengine.testing.clouds import (
    Answers,
    Busy,
    Declines,
    Machine,
    Manners,
    NetworkSettings,
    RingsOut,
    Unreachable,
)
from callengine.testing.lab import CallLab
from callengine.testing.network import Network
from callengine.testing.scripted import ScriptedLlm, ScriptedStt, ScriptedTts

__all__ = [
    "Answers",
    "Busy",
    "CallLab",
    "Caller",
    "CarrierSettings",
    "Declines",
    "Machine",
    "Manners",
    "Network",
    "NetworkSettings",
    "RingsOut",
    "ScriptedLlm",
    "ScriptedStt",
    "ScriptedTts",
    "Unreachable",
]
