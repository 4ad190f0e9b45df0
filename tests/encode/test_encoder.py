"""The encoder against plain transformers, and its laws: order, company, padding, cutting, counting."""

import dataclasses

import numpy as np
import pytest

from recutils.encode import Encoder, checkpoint
from recutils.encode.encoder import batches, distinct, padded, pool
from recutils.tables import Problem

TEXTS = [
    "Toy Story (1995). Genres: Animation, Children's, Comedy",
    "Star Wars (1977)",
    "a",
    "Amélie; or, Le fabuleux destin d'Amélie Poulain",
    "A space station above a planet of living water answers its crew with their own memories. " * 3,
    "Das Boot",
    "😀 🎬",
    "七人の侍",
    "<b>not cleaned here</b>",
    "12 Monkeys (1995)",
    *(f"film number {row} " + "about a dog " * row for row in range(10)),
]


def by_hand(encoder: Encoder, texts: list[str]) -> np.ndarray:
    """Each text alone through plain transformers: no batches, no padding, mean over the tokens, scaled to 1."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = encoder.checkpoint.folder
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    vectors = []
    for text in texts:
        tokens = tokenizer(text, truncation=True, max_length=256, padding=False, return_tensors="pt")
        with torch.inference_mode():
            mean = model(**tokens).last_hidden_state[0].mean(dim=0)
        vectors.append((mean / mean.norm()).numpy())
    return np.stack(vectors)


@pytest.fixture(scope="module")
def encoded(minilm):
    return minilm.encode(TEXTS)


def test_equals_plain_transformers(minilm, encoded):
    assert len(TEXTS) == 20
    np.testing.assert_allclose(encoded.vectors, by_hand(minilm, TEXTS), atol=1e-6)


def test_shape_type_and_counts(encoded):
    assert encoded.vectors.shape == (20, 384)
    assert encoded.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(encoded.vectors, axis=1), 1, atol=1e-6)
    report = encoded.report
    assert (report.n, report.encoded, report.empty, report.truncated, report.damaged) == (20, 20, 0, 0, 0)
    assert report.seconds > 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.n = 0


def test_meaning_is_found(minilm):
    vectors = minilm.encode(["a man rides a horse", "someone on horseback", "quarterly tax statement"]).vectors
    cosine = vectors @ vectors.T
    assert cosine[0, 1] > 0.6 > 0.2 > abs(cosine[0, 2])


def test_order_is_the_callers(minilm, encoded):
    order = np.random.default_rng(3).permutation(20)
    shuffled = minilm.encode([TEXTS[row] for row in order]).vectors
    np.testing.assert_allclose(shuffled, encoded.vectors[order], atol=1e-5)


@pytest.fixture
def one_thread():
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("budget", [1, 60, 100_000])
def test_company_in_a_batch_does_not_matter(minilm, budget, one_thread):
    other = Encoder("minilm", batch_tokens=budget)
    vars(other)["_loaded"] = minilm._loaded
    together = other.encode(TEXTS).vectors
    assert together.tobytes() == minilm.encode(TEXTS).vectors.tobytes()
    apart = [minilm.encode([text, "a text of another length in the same call"]).vectors[0] for text in TEXTS]
    assert np.array(apart).tobytes() == together.tobytes(), "a text's bytes do not depend on its company"


def test_the_same_call_gives_the_same_bytes(minilm, encoded):
    assert minilm.encode(TEXTS).vectors.tobytes() == encoded.vectors.tobytes()


def test_threads_and_random_state_stay_untouched(minilm):
    import torch

    state, threads = torch.get_rng_state(), torch.get_num_threads()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    minilm.encode(["star"])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_pooling_leaves_padding_out():
    import torch

    hidden = torch.tensor([[[1.0, 3.0], [3.0, 5.0], [99.0, 99.0]], [[2.0, 2.0], [4.0, 4.0], [6.0, 0.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert pool(hidden, mask, "mean").tolist() == [[2, 4], [4, 2]]
    assert pool(hidden, mask, "cls").tolist() == [[1, 3], [2, 2]]
    assert pool(hidden, mask, "max").tolist() == [[3, 5], [6, 4]]


def test_padding_stands_on_the_right():
    numbers, mask = padded([[5, 6, 7], [8]], fill=1)
    assert numbers.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_long_texts_are_cut_and_counted(minilm):
    report = (found := minilm.encode(["dog " * 254, "dog " * 255, "dog " * 5000])).report
    assert (report.truncated, report.tokens) == (2, 3 * 256)
    np.testing.assert_allclose(found.vectors[1:], found.vectors[[0, 0]], atol=1e-5)


def test_max_tokens_cuts_where_it_says(tiny):
    report = Encoder(tiny, max_tokens=4).encode(["star wars", "star wars toy", "star"]).report
    assert (report.truncated, report.tokens) == (1, 4 + 4 + 3)


def test_odd_texts_are_encoded_or_counted(minilm):
    odd = ["", " \n\t", "\u200b", "😀", "\x00", "Ω" * 300, "七人", "\ud83d", "&nbsp;", "a" * 100_000]
    found = minilm.encode(odd)
    assert np.isfinite(found.vectors).all()
    assert found.report.empty == 2
    assert found.vectors[:2].any() == np.False_
    np.testing.assert_allclose(np.linalg.norm(found.vectors[2:], axis=1), 1, atol=1e-5)


def test_what_the_vocabulary_lacks_is_counted(tiny):
    report = Encoder(tiny).encode(["star 😀 wars", "狗", "cat"]).report
    assert (report.unknown, report.tokens) == (2, 5 + 3 + 3)


def test_duplicates_are_encoded_once(tiny, monkeypatch):
    seen = []
    plain = Encoder._forward
    monkeypatch.setattr(Encoder, "_forward", lambda self, tokens: seen.extend(tokens) or plain(self, tokens))
    found = Encoder(tiny).encode(["cat", "dog", "cat", "cat", "dog"])
    assert len(seen) == found.report.encoded == 2
    assert (found.report.n, found.report.tokens) == (5, 15)
    assert found.vectors[0].tobytes() == found.vectors[2].tobytes() == found.vectors[3].tobytes()
    assert not np.allclose(found.vectors[0], found.vectors[1])


def test_no_texts_give_an_empty_table_without_the_model(tiny, monkeypatch):
    monkeypatch.setattr(checkpoint, "load", lambda *args: pytest.fail("the model was loaded"))
    assert Encoder(tiny).encode([]).vectors.shape == (0, 16)
    found = Encoder(tiny).encode(["", " "])
    assert (found.vectors.tolist(), found.report.empty, found.report.encoded) == ([[0.0] * 16] * 2, 2, 0)


def test_lengths_stay_when_not_normalised(tiny):
    plain, scaled = (Encoder(tiny, normalise=choice).encode(["star wars", "cat"]).vectors for choice in (False, True))
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    assert (np.abs(lengths - 1) > 0.1).all()
    np.testing.assert_allclose(plain / lengths, scaled, atol=1e-6)


def test_cls_pooling_is_the_first_token(tiny):
    import torch

    encoder = Encoder(tiny, pooling="cls", normalise=False)
    tokenizer, model = encoder._loaded
    with torch.inference_mode():
        first = model(**tokenizer("star wars", return_tensors="pt")).last_hidden_state[0, 0].numpy()
    np.testing.assert_allclose(encoder.encode(["star wars", "cat"]).vectors[0], first, atol=1e-6)


def test_bf16_points_the_same_way(minilm, encoded):
    if not checkpoint._cpu_bf16():
        pytest.skip("this processor has no bf16 arithmetic")
    half = Encoder("minilm", precision="bf16").encode(TEXTS).vectors
    assert half.dtype == np.float32
    assert (half * encoded.vectors).sum(axis=1).min() > 0.999
    assert not np.array_equal(half, encoded.vectors)


def test_progress_ends_at_all_texts_and_no_time_left(tiny):
    told = []
    Encoder(tiny, batch_tokens=6).encode(
        ["cat", "dog", "car", "", "cat", "fish"], progress=lambda *said: told.append(said)
    )
    assert [(done, total) for done, total, _ in told] == [(2, 4), (4, 4)]
    assert told[0][2] > 0 == told[-1][2]


def test_batches_hold_every_text_once_within_the_budget():
    lengths = np.random.default_rng(0).integers(3, 60, 500)
    found = list(batches(lengths, 256))
    assert sorted(np.concatenate(found).tolist()) == list(range(500))
    assert max(lengths[batch].max() * len(batch) for batch in found) <= 256
    assert all(len(set(lengths[batch])) == 1 for batch in found), "no padding"
    assert len(found) < 1.2 * np.ceil(np.bincount(lengths)[3:] * np.arange(3, 60) / 256).sum() + 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp8"}, "precision must be one of fp32, bf16; got 'fp8'"),
        ({"device": "tpu"}, "device must be one of cpu, cuda, mps; got 'tpu'"),
        ({"pooling": "last"}, "pooling must be one of mean, cls, max; got 'last'"),
        ({"max_tokens": 33}, r"max_tokens must lie in 3\.\.32"),
        ({"max_tokens": 2}, r"max_tokens must lie in 3\.\.32"),
        ({"batch_tokens": 0}, "batch_tokens must be at least 1"),
    ],
)
def test_unknown_options_are_errors(tiny, options, message):
    with pytest.raises(Problem, match=message):
        Encoder(tiny, **options)


def test_what_is_not_text_is_named():
    with pytest.raises(Problem, match=r"text 1 is nan \(float\); expected str"):
        distinct(["a", float("nan")])
    with pytest.raises(Problem, match=r"text 0 is None \(NoneType\)"):
        distinct([None])
    with pytest.raises(Problem, match="expected a list of texts; got one text 'Toy Story'"):
        distinct("Toy Story")


def test_weights_that_give_no_numbers_are_a_problem(tiny):
    encoder = Encoder(tiny)
    encoder._loaded[1].embeddings.word_embeddings.weight.data.fill_(float("nan"))
    with pytest.raises(Problem, match="values that are not finite"):
        encoder.encode(["star"])
