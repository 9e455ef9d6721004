"""all-MiniLM-L6-v2 (Apache-2.0, sentence-transformers), int8: sentences as 384 numbers; dot product is likeness."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from callengine.errors import ConfigurationError
from callengine.providers.local.runtime import open_model
from callengine.providers.local.weights import MINILM
from callengine.providers.local.wordpiece import WordPiece
from callengine.providers.local.workers import Workers

DIMENSIONS = 384


@attrs.frozen(eq=False)
class MiniLm:
    """The loaded model. Shared by all calls; `embed` may run in several threads at once."""

    model: Any = attrs.field(repr=False)
    tokenizer: WordPiece = attrs.field(repr=False)

    @classmethod
    def load(cls) -> MiniLm:
        """Open the packaged weights (23 MB). Raises `MissingExtra` or `WeightsError`."""
        return cls(open_model(MINILM.locate()), WordPiece.load())

    def embed(self, text: str) -> NDArray[np.float32]:
        """The vector of one sentence: shape ``(384,)``, unit length.

        One at a time: int8 activations are scaled by the loudest of a batch, so a vector would change with its
        neighbours.
        """
        ids = np.array([self.tokenizer.encode(text)], np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        # Without padding the mask is all ones, so that the mean over tokens needs no weights.
        mean: NDArray[np.float32] = self.model.run(None, feed)[0][0].mean(axis=0)
        return mean / np.linalg.norm(mean)

    def embed_all(self, texts: Sequence[str], stop: threading.Event) -> list[NDArray[np.float32]]:
        """The vectors of several sentences, in order; fewer where ``stop`` is set in the meantime."""
        return [self.embed(text) for text in texts if not stop.is_set()]


class MiniLmEncoder:
    """A `SentenceEncoder` on a loaded model and the workers it runs in (6 ms of CPU a sentence).

    ``cache`` is how many of the last sentences are remembered (1.5 kB each): callers say "yes" a lot.
    """

    def __init__(self, model: MiniLm, workers: Workers, *, cache: int = 1024) -> None:
        if cache < 0:
            raise ConfigurationError(f"cache={cache}: give the number of sentences to remember, 0 for none")
        self.model = model
        self.workers = workers
        self._limit = cache
        self._known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of unit length, shape ``(len(texts), 384)``."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        found = {text: self._known[text] for text in texts if text in self._known}
        if new:
            stop = threading.Event()
            vectors = await self.workers.run(self.model.embed_all, new, stop, stop=stop)
            found.update(zip(new, vectors, strict=True))
        self._remember(found)
        if not texts:
            return np.empty((0, DIMENSIONS), np.float32)
        return np.stack([found[text] for text in texts])

    def _remember(self, vectors: dict[str, NDArray[np.float32]]) -> None:
        for text, vector in vectors.items():
            self._known[text] = vector
            self._known.move_to_end(text)
        while len(self._known) > self._limit:
            self._known.popitem(last=False)
