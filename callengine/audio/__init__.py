"""Audio as numbers: G.711, resampling, conversion, levels, WAV. Knows nothing of calls."""

from callengine.audio.convert import SILENCE, ToCarrier, from_pcm, to_pcm
from callengine.audio.format import TELEPHONE, AudioFormat, Encoding, Pcm
from callengine.audio.g711 import ALAW, MULAW
from callengine.audio.level import rms_dbfs
from callengine.audio.resample import Resampler
from callengine.audio.ring import AudioRing
from callengine.audio.wav import read_wav, write_wav

__all__ = [
    "ALAW",
    "MULAW",
    "SILENCE",
    "TELEPHONE",
    "AudioFormat",
    "AudioRing",
    "Encoding",
    "Pcm",
    "Resampler",
    "ToCarrier",
    "from_pcm",
    "read_wav",
    "rms_dbfs",
    "to_pcm",
    "write_wav",
]
