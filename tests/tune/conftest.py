"""A tiny encoder and a tiny decoder with known words, labelled texts and windows that these words decide."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recutils.data.labelled import Labelled
from recutils.tables import Interactions
from recutils.tune.decoder import Decoder
from recutils.tune.states import Base, States, states_of
from recutils.tune.windows import windows

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] good fine bad poor dress shirt the a very and runs small large soft red".split()
FILMS = "alien brazil casino dogma evita fargo gandhi heat".split()
SPOKEN = ["[PAD]", "[UNK]", "[END]", "Yes", "No", "A", "B", ":", ",", "?", "liked", "not", "best", "Answer", *FILMS]


@pytest.fixture(scope="session")
def tiny(tiny_bert) -> str:
    """The folder of a BERT of two layers."""
    return str(tiny_bert(WORDS, 2))


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


def save_reader(folder: Path, layers: int = 3, room: int = 64, seed: int = 0) -> Path:
    """A Llama of a few layers and 16 numbers with random weights, saved as its publisher would."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    state = torch.get_rng_state()
    torch.manual_seed(seed)
    size = {"hidden_size": 16, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 32}
    config = LlamaConfig(
        vocab_size=len(SPOKEN), num_hidden_layers=layers, max_position_embeddings=room, initializer_range=0.3,
        pad_token_id=0, eos_token_id=2, bos_token_id=2, tie_word_embeddings=True, **size,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    torch.set_rng_state(state)
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(SPOKEN)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = {"pad_token": "[PAD]", "eos_token": "[END]", "unk_token": "[UNK]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **ends).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_reader() -> Callable[..., Path]:
    return save_reader


@pytest.fixture(scope="session")
def reader_folder(tmp_path_factory) -> Path:
    return save_reader(tmp_path_factory.mktemp("decoder") / "model")


@pytest.fixture(scope="session")
def reader(reader_folder) -> Decoder:
    return Decoder(reader_folder, upper=2)


@pytest.fixture(scope="session")
def events() -> Interactions:
    """24 people, each with all eight films in an order of their own; films 0 to 3 are liked, the others not."""
    rng = np.random.default_rng(0)
    rows = [(user, film, 5.0 if film < 4 else 1.0) for user in range(24) for film in rng.permutation(8)]
    frame = pd.DataFrame(rows, columns=["user", "item", "value"])
    frame["time"] = pd.to_datetime(np.arange(len(frame)), unit="s")
    return Interactions(frame, 24, 8)


@pytest.fixture(scope="session")
def asked(events) -> list:
    return windows(events, range(24), n_history=4, n_candidates=2, rng=0)
