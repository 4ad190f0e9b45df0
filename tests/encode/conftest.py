"""A tiny checkpoint with known words, made in a moment, and the real default encoder."""

import shutil
from pathlib import Path

import pytest

from recutils.data.faults import NotReached
from recutils.encode import Encoder

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] star wars toy story the a of and fish cat dog house car red blue".split()


@pytest.fixture(scope="session")
def tiny_made(tiny_bert) -> Path:
    """A BERT of one layer."""
    return tiny_bert(WORDS, 1)


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
