"""A tiny checkpoint with known words, made in a moment, and the real default encoder."""

import shutil
from pathlib import Path

import pytest

from recutils.data.faults import NotReached
from recutils.encode import Encoder

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] star wars toy story the a of and fish cat dog house car red blue".split()


@pytest.fixture(scope="session")
def tiny_made(tmp_path_factory) -> Path:
    """A BERT of one layer and 16 numbers with random weights, saved as its publisher would."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "model"
    state = torch.get_rng_state()
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **size)).save_pretrained(folder)
    torch.set_rng_state(state)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    vocabulary = {word: row for row, word in enumerate(WORDS)}
    BertTokenizerFast(vocab=vocabulary, model_max_length=32).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny(tiny_made, tmp_path) -> Path:
    """A copy of the tiny checkpoint that a test may damage."""
    return Path(shutil.copytree(tiny_made, tmp_path / "model"))


@pytest.fixture(scope="session")
def minilm() -> Encoder:
    """The default encoder of the catalogue, shared so that it is loaded once."""
    try:
        return Encoder("minilm")
    except NotReached as fault:
        pytest.skip(f"the checkpoint is not at hand: {fault}")
