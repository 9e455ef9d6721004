"""Moonshine tiny-en (MIT, useful sensors / Moonshine AI), int8, on our own ONNX runtime.

A batch recogniser: it sees a segment of audio as a whole and writes its words. About thirty times faster than speech
on one core, which is why interim transcripts can be had by decoding a growing segment again and again.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from callengine.providers.local.repair import collapse_loops, is_phantom, modern_spelling
from callengine.providers.local.runtime import open_model
from callengine.providers.local.weights import MOONSHINE_DECODER, MOONSHINE_ENCODER, MOONSHINE_TOKENS

SAMPLE_RATE = 16000
"""Hz of the audio that the model takes."""

MAX_SECONDS = 28.0
"""Longest segment that is decoded as a whole. At 36 s the model drops words (seen with moonshine-voice 0.0.73)."""

_TOKENS_PER_SECOND = 6.5  # the model card's bound against runaway decoding, plus a little for very short segments
_EXTRA_TOKENS = 6
_SHORTEST = SAMPLE_RATE * 3 // 20  # the encoder's convolutions need 150 ms; shorter segments are padded
_START, _END = 1, 2


@attrs.frozen(eq=False)
class Moonshine:
    """The loaded model. Shared by all calls; `transcribe` may run in several threads at once."""

    encoder: Any = attrs.field(repr=False)
    decoder: Any = attrs.field(repr=False)
    pieces: tuple[bytes, ...] = attrs.field(repr=False)
    empty_cache: dict[str, NDArray[np.float32]] = attrs.field(repr=False)
    """What the decoder remembers before its first token, by input name."""

    @classmethod
    def load(cls) -> Moonshine:
        """Open the packaged weights (44 MB, about half a second). Raises `MissingExtra` or `WeightsError`."""
        encoder = open_model(MOONSHINE_ENCODER.locate())
        decoder = open_model(MOONSHINE_DECODER.locate())
        cache = {
            each.name: np.zeros((0, each.shape[1], 1, each.shape[3]), np.float32)
            for each in decoder.get_inputs()
            if each.name.startswith("past_")
        }
        return cls(encoder, decoder, _read_pieces(MOONSHINE_TOKENS.locate()), cache)

    def transcribe(self, audio: NDArray[np.float32], stop: threading.Event | None = None) -> str:
        """The words in ``audio``: mono, 16 kHz, shape ``(samples,)``, in -1..1, at most `MAX_SECONDS` long.

        Empty where nothing was understood, and where ``stop`` (polled before every token) was set.
        """
        if len(audio) == 0:
            return ""
        ids, ended = self._decode(audio, stop or threading.Event())
        text = self._text(ids)
        if is_phantom(text, ended, audio, SAMPLE_RATE):
            return ""
        return modern_spelling(text if ended else collapse_loops(text))

    def _decode(self, audio: NDArray[np.float32], stop: threading.Event) -> tuple[list[int], bool]:
        """Greedy decoding with a key-value cache: the token ids, and whether the model itself ended the sentence."""
        limit = int(len(audio) / SAMPLE_RATE * _TOKENS_PER_SECOND) + _EXTRA_TOKENS
        padded = np.pad(audio, (0, max(0, _SHORTEST - len(audio)))).astype(np.float32, copy=False)[None]
        mask = np.ones(padded.shape, np.int64)
        hidden = self.encoder.run(None, {"input_values": padded, "attention_mask": mask})[0]
        cache = dict(self.empty_cache)
        ids: list[int] = []
        last = _START
        while len(ids) < limit:
            if stop.is_set():
                return [], True
            feed = {
                "input_ids": np.array([[last]], np.int64),
                "encoder_hidden_states": hidden,
                "encoder_attention_mask": mask,
                "use_cache_branch": np.array([bool(ids)]),
                **cache,
            }
            logits, *present = self.decoder.run(None, feed)
            last = int(logits[0, -1].argmax())
            if last == _END:
                return ids, True
            for name, value in zip(cache, present, strict=True):
                # What the decoder remembers of the encoder is computed with the first token only.
                if not ids or ".decoder." in name:
                    cache[name] = value
            ids.append(last)
        return ids, False

    def _text(self, ids: list[int]) -> str:
        joined = b"".join(self.pieces[each] for each in ids)
        return joined.decode("utf-8", "replace").replace("\u2581", " ").strip()


def _read_pieces(file: Path) -> tuple[bytes, ...]:
    """Read the tokenizer file: each piece of text behind its length (one byte, or two from 128 on)."""
    data = file.read_bytes()
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        size = data[at]
        at += 1
        if size >= 128:
            size += data[at] * 128 - 128
            at += 1
        pieces.append(_plain(data[at : at + size]))
        at += size
    return tuple(pieces)


def _plain(piece: bytes) -> bytes:
    """What a piece adds to the text: a raw byte for ``<0x41>``, nothing for control tokens such as ``</s>``."""
    if len(piece) == 6 and piece.startswith(b"<0x"):
        return bytes([int(piece[3:5], 16)])
    if piece.startswith(b"<") and piece.endswith(b">"):
        return b""
    return piece
