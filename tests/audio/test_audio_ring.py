"""The call's memory of the caller's audio."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from callengine.audio import TELEPHONE, AudioFormat, AudioRing, from_pcm, to_pcm

L16 = AudioFormat("l16", 8000)


def test_what_was_appended_is_read_by_position() -> None:
    ring = AudioRing(TELEPHONE)
    audio = bytes(range(256)) * 2
    for start in range(0, 512, 160):
        ring.append(audio[start : start + 160])
    assert (ring.start, ring.end) == (0, 512)
    assert np.array_equal(ring.read(100, 400), to_pcm(audio[100:400], "mulaw"))


def test_only_the_newest_seconds_are_kept_and_positions_go_on() -> None:
    ring = AudioRing(L16, seconds=0.01)
    ring.append(from_pcm(np.arange(200, dtype=np.int16), "l16"))
    assert (ring.start, ring.end) == (120, 200)
    assert ring.read(150, 160).tolist() == list(range(150, 160))


def test_reading_is_clamped_to_what_is_kept_and_counts_what_is_gone() -> None:
    ring = AudioRing(L16, seconds=0.01)
    ring.append(from_pcm(np.arange(200, dtype=np.int16), "l16"))
    assert ring.read(190, 999).tolist() == list(range(190, 200))
    assert ring.dropped == 0
    assert ring.read(100, 130).tolist() == list(range(120, 130))
    assert ring.dropped == 20
    assert ring.read(-50, 10).tolist() == []
    assert ring.dropped == 30
    assert ring.read(500, 600).tolist() == []
    assert ring.read(160, 150).tolist() == []
    assert ring.dropped == 30


@given(st.lists(st.binary(max_size=50), max_size=40), st.sampled_from([TELEPHONE, L16]))
def test_any_chunks_are_remembered_as_one_stream(chunks: list[bytes], audio_format: AudioFormat) -> None:
    ring = AudioRing(audio_format, seconds=0.02)
    for chunk in chunks:
        ring.append(chunk)
    whole = b"".join(chunks)
    width = audio_format.sample_width
    samples = to_pcm(whole[: len(whole) // width * width], audio_format.encoding)
    assert ring.end == len(samples)
    assert ring.end - ring.start >= min(len(samples), 159)
    assert np.array_equal(ring.read(ring.start, ring.end), samples[ring.start :])


def test_memory_grows_with_the_audio_up_to_its_bound() -> None:
    tracemalloc.start()
    try:
        ring = AudioRing(TELEPHONE, seconds=30)
        ring.append(bytes(1600))
        early, _ = tracemalloc.get_traced_memory()
        for _ in range(3000):
            ring.append(bytes(160))
        late, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert early < 20_000
    assert ring.end - ring.start == 240_000
    assert late < 2 * 240_000
