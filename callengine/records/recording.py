"""The recording of a call, as the caller heard it, from its journal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from callengine.audio import Pcm, write_wav
from callengine.errors import ConfigurationError
from callengine.journal import Record
from callengine.records.placement import agent_audio, caller_audio, end_of_call, stream_format


def render_recording(records: Iterable[Record]) -> tuple[Pcm, Pcm, int]:
    """The caller's track, the agent's track, and their rate in Hz.

    Both start with the call's stream and are equally long: to the end of the call, or of the caller's audio where
    that is later. The caller's audio is placed by its arrival, the agent's by its playout; what a clear threw away,
    and what was on its way when the call ended, is not in it.

    Raises `ConfigurationError` where the journal was written without its audio.
    """
    records = list(records)
    audio_format = stream_format(records)
    heard, said = caller_audio(records, audio_format), agent_audio(records, audio_format)
    if any(part.audio is None for part in said) or (
        not heard and any(record.kind == "speech.started" for record in records)
    ):
        raise ConfigurationError("this journal has no audio: record calls with JournalSettings(audio=True)")
    rate = audio_format.sample_rate
    length = max([round(end_of_call(records) * rate), *(part.end for part in heard)])
    caller, agent = np.zeros(length, np.int16), np.zeros(length, np.int16)
    for message in heard:
        caller[message.start : message.end] = message.audio
    for part in said:
        assert part.audio is not None
        agent[part.start : part.start + part.heard] = part.audio[: part.heard]
    return caller, agent, rate


def write_recording(records: Iterable[Record], path: str | Path) -> None:
    """Write the recording as a WAV file: the caller on the left, the agent on the right, 16-bit.

    Raises what `render_recording` raises.
    """
    caller, agent, rate = render_recording(records)
    write_wav(path, caller, agent, sample_rate=rate)
