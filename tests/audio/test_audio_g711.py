"""G.711 against an independent, literal reading of its segments."""

from __future__ import annotations

import numpy as np

from callengine.audio.g711 import ALAW, MULAW

EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)
EVERY_BYTE = bytes(range(256))


def reference_mulaw(sample: int) -> int:
    """Sun's g711.c: linear to mu-law from the upper 14 bits, one sample, segment by segment."""
    value, mask = sample >> 2, 0xFF
    if value < 0:
        value, mask = -value, 0x7F
    value = min(value, 8159) + 33
    for segment in range(8):
        if value <= (0x40 << segment) - 1:
            return ((segment << 4) | ((value >> (segment + 1)) & 0x0F)) ^ mask
    return 0x7F ^ mask


def reference_alaw(sample: int) -> int:
    """Sun's g711.c: linear to A-law from the upper 13 bits."""
    value, mask = sample >> 3, 0xD5
    if value < 0:
        value, mask = -value - 1, 0x55
    for segment in range(8):
        if value <= (0x20 << segment) - 1:
            return ((segment << 4) | ((value >> max(1, segment)) & 0x0F)) ^ mask
    return 0x7F ^ mask


def test_mulaw_encodes_every_sample_as_the_reference_does() -> None:
    assert MULAW.encode(EVERY_SAMPLE) == bytes(reference_mulaw(int(sample)) for sample in EVERY_SAMPLE)


def test_alaw_encodes_every_sample_as_the_reference_does() -> None:
    assert ALAW.encode(EVERY_SAMPLE) == bytes(reference_alaw(int(sample)) for sample in EVERY_SAMPLE)


def test_known_mulaw_values() -> None:
    # The ends and the middle of the table in G.711 (2a and 2b), at 16-bit scale.
    assert MULAW.decode(bytes([0x00, 0x7F, 0x80, 0xFF, 0x8F, 0xF0])).tolist() == [-32124, 0, 32124, 0, 16764, 120]
    assert MULAW.encode(np.array([0, -1, 32767, -32768, 1000], np.int16)) == bytes([0xFF, 0x7E, 0x80, 0x00, 0xCE])


def test_known_alaw_values() -> None:
    assert ALAW.decode(bytes([0xD5, 0x55, 0xAA, 0x2A, 0x80])).tolist() == [8, -8, 32256, -32256, 5504]
    assert ALAW.encode(np.array([0, -1, 32767, -32768], np.int16)) == bytes([0xD5, 0x55, 0xAA, 0x2A])


def test_decoding_and_encoding_again_gives_the_same_bytes() -> None:
    assert ALAW.encode(ALAW.decode(EVERY_BYTE)) == EVERY_BYTE
    # mu-law has two zeros; the negative one comes back as the positive one.
    assert MULAW.encode(MULAW.decode(EVERY_BYTE)) == EVERY_BYTE.replace(b"\x7f", b"\xff")


def test_samples_may_be_a_strided_view() -> None:
    stereo = np.stack((EVERY_SAMPLE, EVERY_SAMPLE[::-1]), axis=1)
    assert MULAW.encode(stereo[:, 0]) == MULAW.encode(EVERY_SAMPLE)


def test_float_table_is_the_decode_table_in_units_of_full_scale() -> None:
    assert MULAW.float_table.dtype == np.float32
    assert np.array_equal(MULAW.float_table * 32768, MULAW.decode(EVERY_BYTE))


def test_silence_is_the_code_of_zero() -> None:
    assert (MULAW.silence, ALAW.silence) == (b"\xff", b"\xd5")
