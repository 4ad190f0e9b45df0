"""Shared fixtures: small planted tables, and the folders that tests may write to."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recutils.tables import Dataset, Interactions

MIRROR = Path(__file__).resolve().parents[1] / "../shared/mirror"
if MIRROR.is_dir():
    os.environ.setdefault("RECUTILS_MIRROR", str(MIRROR.resolve()))


def made(n_users: int = 40, n_items: int = 30, seed: int = 0) -> Interactions:
    """Ratings of two groups of users, each liking one half of the items; a third of the pairs is known."""
    rng = np.random.default_rng(seed)
    user, item = np.divmod(rng.permutation(n_users * n_items)[: n_users * n_items // 3], n_items)
    liked = (user % 2) == (item % 2)
    value = np.where(liked, rng.integers(4, 6, len(user)), rng.integers(1, 3, len(user)))
    time = pd.to_datetime(1_000_000_000 + 3600 * np.arange(len(user)), unit="s")
    return Interactions(pd.DataFrame({"user": user, "item": item, "value": value, "time": time}), n_users, n_items)


@pytest.fixture
def ratings() -> Interactions:
    """Planted ratings with two tastes."""
    return made()


@pytest.fixture
def dataset(ratings: Interactions) -> Dataset:
    """The planted ratings as a data set with titles."""
    users = pd.DataFrame({"user_id": [f"u{row}" for row in range(ratings.n_users)]})
    items = pd.DataFrame({"item_id": [f"i{row}" for row in range(ratings.n_items)]})
    items["title"] = [f"Item {row}" for row in range(ratings.n_items)]
    return Dataset("planted", ratings, users, items, explicit=True)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[str], int], Path]:
    """A maker of checkpoint folders, as a publisher would save them: (words, layers) -> a BERT of 16 numbers with
    random weights, always the same."""

    def make(words: Sequence[str], layers: int) -> Path:
        import torch
        from transformers import BertConfig, BertModel, BertTokenizerFast

        folder = tmp_path_factory.mktemp("tiny") / "model"
        size = {"hidden_size": 16, "num_hidden_layers": layers, "num_attention_heads": 2, "intermediate_size": 32}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=32, **size))
        model.save_pretrained(folder)
        (folder / "vocab.txt").write_text("\n".join(words))
        vocabulary = {word: row for row, word in enumerate(words)}
        BertTokenizerFast(vocab=vocabulary, model_max_length=32).save_pretrained(folder)
        return folder

    return make
