"""Small encoders keep what they promise: exact vectors where nothing is lost, bounded error where it is, no pickle."""

import numpy as np
import pytest
import torch

from recutils.deploy.compact import Compact, open_compact
from recutils.deploy.compress import (
    compact_of,
    head_weights,
    in_precision,
    pruned_weights,
    with_layers,
    with_vocabulary,
    with_width,
    without_heads,
    zeros,
)
from recutils.deploy.int8 import Int8Linear
from recutils.encode import Encoder
from recutils.tables import Problem
from recutils.tune.states import Base

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] good fine bad poor dress shirt the a very and runs small large soft red".split()
TEXTS = ["good dress", "the shirt runs very small and soft", "bad", "a red dress and a red shirt"]


@pytest.fixture(scope="module")
def folder(tiny_bert) -> str:
    return str(tiny_bert(WORDS, 3))


@pytest.fixture(scope="module")
def whole(folder: str) -> Compact:
    return compact_of(*Base(folder, frozen=0, max_tokens=16).load(), max_tokens=16)


def test_the_whole_encoder_is_the_projects_own(folder: str, whole: Compact) -> None:
    np.testing.assert_allclose(whole.encode(TEXTS), Encoder(folder, max_tokens=16).encode(TEXTS).vectors, atol=1e-5)


@pytest.mark.parametrize("how", ["fp32", "bf16", "int8", "int8 torchao", "heads", "layers", "words", "width"])
def test_saving_and_opening_changes_nothing(whole: Compact, tmp_path, how: str) -> None:
    made = {
        "fp32": lambda: whole, "bf16": lambda: in_precision(whole, "bf16"), "int8": lambda: in_precision(whole, "int8"),
        "int8 torchao": lambda: in_precision(whole, "int8 torchao"),
        "heads": lambda: without_heads(whole, head_weights(whole, TEXTS), 0.5),
        "layers": lambda: with_layers(whole, [0, 2]),
        "words": lambda: with_vocabulary(whole, TEXTS), "width": lambda: with_width(whole, whole.encode(TEXTS), 3),
    }  # fmt: skip
    if how == "bf16" and not any(on for name, on in torch.cpu.get_capabilities().items() if name.endswith("bf16")):
        pytest.skip("this processor has no bf16")
    small = made[how]()
    opened = open_compact(small.save(tmp_path / "small"))
    np.testing.assert_allclose(opened.encode(TEXTS), small.encode(TEXTS), atol=1e-3 if "torchao" in how else 1e-6)
    assert sorted(path.name for path in (tmp_path / "small").iterdir()) == [
        "compact.json", "tokenizer.json", "weights.safetensors",
    ]  # fmt: skip


def test_a_changed_folder_is_refused(whole: Compact, tmp_path) -> None:
    folder = whole.save(tmp_path / "one")
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(Problem, match="not what compact.json names"):
        open_compact(folder)
    with pytest.raises(Problem, match="not the folder"):
        open_compact(tmp_path)


def test_a_trimmed_vocabulary_keeps_every_vector_to_the_bit(whole: Compact) -> None:
    small = with_vocabulary(whole, TEXTS[:2])
    np.testing.assert_array_equal(small.encode(TEXTS[:2]), whole.encode(TEXTS[:2]))
    assert len(small.module.bert.embeddings.word_embeddings.weight) < len(WORDS)
    with pytest.raises(Problem, match="trimmed away, such as 'bad'"):
        small.encode(["bad"])
    with pytest.raises(Problem, match="trimmed before"):
        with_vocabulary(small, TEXTS[:1])


def test_a_layer_of_whole_numbers_is_near_its_layer() -> None:
    rng = torch.Generator().manual_seed(0)
    linear = torch.nn.Linear(64, 48)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(48, 64, generator=rng))
        linear.bias.copy_(torch.randn(48, generator=rng))
    small, given = Int8Linear.of(linear), torch.randn(100, 64, generator=rng)
    assert ((small.weight - linear.weight).abs() <= small.factors[:, None] / 2 + 1e-6).all()
    with torch.inference_mode():
        wanted = linear(given)
        off = (small(given) - wanted).norm() / wanted.norm()
    assert 1e-4 < off < 0.03
    assert small.codes.dtype == torch.int8


def test_zeroed_weights_keep_their_place_and_the_largest_stay(whole: Compact) -> None:
    small = pruned_weights(whole, 0.5)
    assert zeros(whole) < 0.01 and zeros(small) == pytest.approx(0.5, abs=0.01)
    before, after = (one.module.bert.encoder.layer[1].output.dense.weight for one in (whole, small))
    gone = after == 0
    assert before.shape == after.shape and torch.equal(before[~gone], after[~gone])
    assert before[gone].abs().max() <= before[~gone].abs().min()
    np.testing.assert_array_equal(pruned_weights(whole, 0.0).encode(TEXTS), whole.encode(TEXTS))


def test_a_head_that_says_nothing_goes_first_and_is_not_missed(whole: Compact) -> None:
    import copy

    mute = whole.but(module=copy.deepcopy(whole.module))
    with torch.no_grad():  # the second head of the first layer adds nothing to the output
        mute.module.bert.encoder.layer[0].attention.output.dense.weight[:, 8:] = 0
    weights = head_weights(mute, TEXTS)
    assert weights.shape == (3, 2) and weights.argmin() == 1 and weights[0, 1] == 0
    small = without_heads(mute, weights, 1 / 6)
    np.testing.assert_allclose(small.encode(TEXTS), mute.encode(TEXTS), atol=1e-6)
    assert small.module.bert.encoder.layer[0].attention.self.query.out_features == 8
    least = without_heads(whole, head_weights(whole, TEXTS), 0.99)
    assert [layer.attention.self.num_attention_heads for layer in least.module.bert.encoder.layer] == [1, 1, 1]


def test_layers_and_width_are_what_was_asked(whole: Compact) -> None:
    np.testing.assert_array_equal(with_layers(whole, [0, 1, 2]).encode(TEXTS), whole.encode(TEXTS))
    assert len(with_layers(whole, [2]).module.bert.encoder.layer) == 1
    cut = with_width(whole, whole.encode(TEXTS), 4, "cut").encode(TEXTS)
    whole_vectors = whole.encode(TEXTS)[:, :4]
    np.testing.assert_allclose(cut, whole_vectors / np.linalg.norm(whole_vectors, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda one: in_precision(one, "int4"), "int4"),
        (lambda one: pruned_weights(one, 1.0), r"0\.\.1"),
        (lambda one: with_layers(one, [3]), r"0\.\.2"),
        (lambda one: without_heads(one, np.zeros((1, 2)), 0.5), "layers, heads"),
        (lambda one: with_layers(in_precision(one, "int8"), [0]), "round last"),
        (lambda one: with_width(with_width(one, one.encode(TEXTS), 2), np.eye(2), 2), "trimmed before"),
    ],
)
def test_what_makes_no_sense_is_refused(whole: Compact, call, word: str) -> None:
    with pytest.raises(Problem, match=word):
        call(whole)


def test_what_was_given_is_not_changed(whole: Compact) -> None:
    before = whole.encode(TEXTS)
    for make in (
        lambda: in_precision(whole, "int8"),
        lambda: pruned_weights(whole, 0.9),
        lambda: with_layers(whole, [0]),
    ):
        make()
    np.testing.assert_array_equal(whole.encode(TEXTS), before)
