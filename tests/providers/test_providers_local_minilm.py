from __future__ import annotations

import numpy as np
import pytest

from callengine.errors import ConfigurationError
from callengine.providers.local.minilm import MiniLmEncoder
from callengine.providers.local.models import LocalModels
from callengine.providers.local.workers import Workers

pytestmark = pytest.mark.models


async def test_sentences_of_one_meaning_are_nearer_than_sentences_that_share_words(models: LocalModels) -> None:
    asked, same, words = await models.encoder.encode(
        ["what time do you open on sundays", "are you open at the weekend", "what time does my train leave"]
    )
    assert asked @ same > 0.6
    assert asked @ same > asked @ words + 0.2


INTENTS = {
    "book": ["I would like to book a table", "can I make a reservation", "reserve a table for two tonight"],
    "cancel": ["cancel my booking", "I need to cancel my reservation", "we can't make it tonight"],
    "person": ["I want to speak to a person", "transfer me to someone", "can I talk to the manager"],
    "hours": ["what time do you open", "when do you close", "are you open on Sundays"],
    "menu": ["what is on the menu", "do you have vegetarian food", "any gluten free options"],
}


@pytest.mark.parametrize(
    ("said", "intent"),
    [
        ("could I reserve something for friday evening", "book"),
        ("I am afraid we have to call tonight off", "cancel"),
        ("put me through to somebody real", "person"),
        ("how late are you there", "hours"),
        ("which dishes can a vegan eat", "menu"),
    ],
)
async def test_the_nearest_example_is_of_the_right_intent(models: LocalModels, said: str, intent: str) -> None:
    examples = [(name, text) for name, texts in INTENTS.items() for text in texts]
    vectors = await models.encoder.encode([said, *(text for _, text in examples)])
    assert examples[int((vectors[1:] @ vectors[0]).argmax())][0] == intent


async def test_vectors_have_unit_length_and_do_not_depend_on_their_neighbours(models: LocalModels) -> None:
    texts = ["yes", "", "a much longer sentence, about nothing in particular, that goes on for a while" * 20]
    together = await models.encoder.encode(texts)
    fresh = MiniLmEncoder(models.encoder.model, models.workers)
    alone = np.concatenate([await fresh.encode([text]) for text in reversed(texts)])[::-1]

    assert together.shape == (3, 384)
    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert np.array_equal(together, alone)


async def test_nothing_to_encode_gives_no_rows(models: LocalModels) -> None:
    assert (await models.encoder.encode([])).shape == (0, 384)


class CountingWorkers(Workers):
    def __init__(self) -> None:
        super().__init__(inline=True)
        self.sentences = 0

    async def run(self, job, *args, stop=None):  # type: ignore[no-untyped-def,override]  # passes all on
        self.sentences += len(args[0])
        return await super().run(job, *args, stop=stop)


@pytest.mark.parametrize(("cache", "again"), [(1024, 0), (2, 1), (0, 3)])
async def test_repeated_sentences_are_remembered_up_to_the_limit(
    loaded_models: LocalModels, cache: int, again: int
) -> None:
    workers = CountingWorkers()
    encoder = MiniLmEncoder(loaded_models.encoder.model, workers, cache=cache)
    first = await encoder.encode(["yes", "no", "maybe", "yes"])
    assert workers.sentences == 3

    assert np.array_equal(await encoder.encode(["yes", "no", "maybe", "yes"]), first)

    assert workers.sentences == 3 + again


def test_a_negative_cache_is_refused(models: LocalModels) -> None:
    with pytest.raises(ConfigurationError, match="cache=-1"):
        MiniLmEncoder(models.encoder.model, models.workers, cache=-1)
