"""The call lab: whole calls in tests, in virtual time, against the code that serves real ones."""

from callengine.testing.caller import Caller
from callengine.testing.carrier import CarrierSettings
from callengine.testing.lab import CallLab
from callengine.testing.scripted import ScriptedLlm, ScriptedStt, ScriptedTts

__all__ = ["CallLab", "Caller", "CarrierSettings", "ScriptedLlm", "ScriptedStt", "ScriptedTts"]
