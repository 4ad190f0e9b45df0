"""A tiny encoder of two layers with known words, and labelled texts that these words decide."""

import numpy as np
import pytest

from recutils.data.labelled import Labelled
from recutils.tune.states import Base, States, states_of

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] good fine bad poor dress shirt the a very and runs small large soft red".split()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> str:
    """The folder of a BERT of two layers and 16 numbers with random weights."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tune") / "model"
    state = torch.get_rng_state()
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **size)).save_pretrained(folder)
    torch.set_rng_state(state)
    BertTokenizerFast(vocab={word: row for row, word in enumerate(WORDS)}, model_max_length=32).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def planted() -> Labelled:
    """200 texts; those with good or fine are 1, those with bad or poor 0."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, size=200)
    telling = [rng.choice(["good", "fine"] if label else ["bad", "poor"]) for label in labels]
    others = [" ".join(rng.choice(WORDS[9:], size=rng.integers(1, 4))) for _ in labels]
    texts = [f"{rest} {word} {rest}" for word, rest in zip(telling, others, strict=True)]
    return Labelled("planted", tuple(texts), labels, ("bad", "good"))


@pytest.fixture(scope="session")
def base(tiny: str) -> Base:
    return Base(tiny, frozen=1, max_tokens=16)


@pytest.fixture(scope="session")
def states(base: Base, planted: Labelled) -> States:
    return states_of(base, planted.texts)
