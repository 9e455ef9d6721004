"""hibari-tts (Apache-2.0): the voice "heart", 24 kHz, distilled from Kokoro-82M; about 130 times faster than speech.

The package can download other voices, but only in ``hibari.voices.voice_path``, which is called when no model file is
given. Here the verified file inside the package is given, and the word reader for unknown words as well, so that
nothing is looked up later.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from callengine.audio.format import Pcm
from callengine.providers.local.weights import HIBARI_UNKNOWN_WORDS, HIBARI_VOICE

SAMPLE_RATE = 24000
"""Hz of the audio that the model makes."""

_GAIN = 10 ** (4.5 / 20)
"""The voice speaks at -25 dBFS (mean level of speech, sentences of 1-6 s, hibari-tts 0.2.1); this makes it -20."""

_LEAD = 0.05
_TAIL = 0.25
"""Seconds of silence kept around a sentence. The model adds 0.24-0.34 s before and 0.32-0.50 s after it; the first is
waiting time for the caller, and together the kept ones make the pause between two sentences."""

_SILENCE = 10 ** (-45 / 20)  # the model's own pauses are below -100 dBFS, its softest consonants above this
_FRAME = SAMPLE_RATE // 200  # 5 ms


@attrs.frozen(eq=False)
class HibariVoice:
    """The loaded voice. Shared by all calls; its methods may run in several threads at once."""

    engine: Any = attrs.field(repr=False)

    @classmethod
    def load(cls) -> HibariVoice:
        """Open the packaged voice and its dictionaries. Raises `MissingExtra` or `WeightsError`."""
        model, unknown_words = HIBARI_VOICE.locate(), HIBARI_UNKNOWN_WORDS.locate()
        # The package ships no types.
        from hibari import Hibari  # type: ignore[import-untyped]
        from hibari.g2p import G2P  # type: ignore[import-untyped]
        from hibari.g2p.oov import OOV  # type: ignore[import-untyped]

        return cls(Hibari(model=str(model), g2p=G2P(oov=OOV(str(unknown_words)))))

    def phonemes(self, text: str) -> list[str]:
        """The sounds of ``text``: a string a sentence; sentences over 400 sounds (half a minute) in several.

        A sentence of punctuation alone has none: the model would make a noise of it.
        """
        return [sounds for sounds in self.engine.phonemize(text) if any(each.isalpha() for each in sounds)]

    def speak(self, phonemes: str, speed: float = 1.0) -> Pcm:
        """Synthesise one string of `phonemes` at `SAMPLE_RATE`. The same input gives the same samples.

        Empty where there is nothing to say.
        """
        audio: NDArray[np.float32] = self.engine.from_phonemes(phonemes, speed=speed, seed=0)
        trimmed = _trim(audio) * np.float32(_GAIN)
        pcm: Pcm = np.rint(np.clip(trimmed, -1.0, 1.0) * 32767).astype(np.int16)
        return pcm


def _trim(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    frames = audio[: len(audio) // _FRAME * _FRAME].reshape(-1, _FRAME)
    loud = np.flatnonzero(np.abs(frames).max(axis=1, initial=0) >= _SILENCE)
    if len(loud) == 0:
        return audio[:0]
    first = max(0, int(loud[0]) * _FRAME - int(_LEAD * SAMPLE_RATE))
    last = (int(loud[-1]) + 1) * _FRAME + int(_TAIL * SAMPLE_RATE)
    return audio[first:last]
