"""The cache: nothing is encoded twice, damage heals, and vectors of different spaces never meet."""

import threading

import numpy as np
import pytest

from recutils.encode import Encoder, cache, encode_cached
from recutils.encode.cache import Store, key_of
from recutils.encode.encoder import Rows
from recutils.tables import Problem

TEXTS = ["star wars", "toy story", "", "the red fish", "toy story"]


@pytest.fixture
def encoder(tiny) -> Encoder:
    return Encoder(tiny)


@pytest.fixture
def root(tmp_path):
    """Where the vectors go; the tiny checkpoint lies beside it."""
    return tmp_path / "vectors"


@pytest.fixture
def calls(monkeypatch) -> list[list[str]]:
    """The texts of every call of the model."""
    made: list[list[str]] = []
    plain = Encoder.run

    def counted(self, texts, progress=None):
        made.append(list(texts))
        return plain(self, texts, progress)

    monkeypatch.setattr(Encoder, "run", counted)
    return made


def files(root):
    return sorted(root.glob("*/*.safetensors"))


def test_a_second_run_does_not_call_the_model(encoder, root, calls, monkeypatch):
    first = encode_cached(encoder, TEXTS, root=root)
    monkeypatch.setattr("recutils.encode.checkpoint.load", lambda *args: pytest.fail("the model was loaded"))
    second = encode_cached(Encoder(encoder.model), TEXTS, root=root)
    assert calls == [["star wars", "toy story", "the red fish"]]
    assert second.vectors.tobytes() == first.vectors.tobytes()
    assert (first.report.encoded, second.report.encoded) == (3, 0)
    facts = [(r.n, r.tokens, r.truncated, r.unknown, r.empty) for r in (first.report, second.report)]
    assert facts[0] == facts[1] == (5, 4 + 4 + 5 + 4, 0, 0, 1)


def test_equals_what_the_encoder_gives(encoder, root):
    np.testing.assert_array_equal(encode_cached(encoder, TEXTS, root=root).vectors, encoder.encode(TEXTS).vectors)


def test_only_new_texts_are_encoded_and_the_order_is_the_callers(encoder, root, calls):
    encode_cached(encoder, TEXTS, root=root)
    found = encode_cached(encoder, ["cat", *TEXTS[::-1], "dog"], root=root)
    assert calls[1:] == [["cat", "dog"]]
    expected = encoder.encode(["cat", *TEXTS[::-1], "dog"]).vectors
    np.testing.assert_allclose(found.vectors, expected, atol=1e-6)


def test_no_texts_and_empty_texts_touch_no_disk(encoder, root):
    assert encode_cached(encoder, [], root=root / "none").vectors.shape == (0, 16)
    assert encode_cached(encoder, ["", " "], root=root / "none").report.empty == 2
    assert not (root / "none").exists()


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "text"])
def test_a_damaged_file_is_found_and_made_again(encoder, root, calls, damage):
    first = encode_cached(encoder, TEXTS, root=root)
    (path,) = files(root)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes({"flip": content, "cut": content[:-9], "empty": b"", "text": b"hello"}[damage])
    healed = encode_cached(encoder, TEXTS, root=root)
    assert (healed.report.damaged, healed.report.encoded) == (1, 3)
    assert healed.vectors.tobytes() == first.vectors.tobytes()
    assert encode_cached(encoder, TEXTS, root=root).report.damaged == 0
    assert len(calls) == 2


def test_damage_costs_only_the_texts_of_that_file(encoder, root, calls):
    encode_cached(encoder, ["cat"], root=root)
    (path,) = files(root)
    encode_cached(encoder, ["dog"], root=root)
    path.write_bytes(b"")
    encode_cached(encoder, ["cat", "dog"], root=root)
    assert calls == [["cat"], ["dog"], ["cat"]]


@pytest.mark.parametrize(
    "options",
    [{"pooling": "cls"}, {"normalise": False}, {"max_tokens": 9}, {"precision": "bf16"}],
    ids=lambda o: next(iter(o)),
)
def test_every_option_has_its_own_space(encoder, tiny, options):
    other = Encoder(tiny, **options)
    assert other.space != encoder.space
    assert cache._folder_name(other) != cache._folder_name(encoder)


def test_batches_and_device_do_not_change_the_space(encoder, tiny):
    assert Encoder(tiny, batch_tokens=7, device="cuda").space == encoder.space


def test_another_models_vectors_are_not_taken(encoder, tiny, root, calls):
    encode_cached(encoder, TEXTS, root=root)
    content = bytearray((tiny / "model.safetensors").read_bytes())
    content[-2] ^= 1
    (tiny / "model.safetensors").write_bytes(content)
    encode_cached(Encoder(tiny), TEXTS, root=root)
    assert len(calls) == 2
    assert len({path.parent for path in files(root)}) == 2


def test_another_models_file_put_into_the_folder_is_refused(encoder, tiny, root):
    encode_cached(encoder, TEXTS, root=root)
    (path,) = files(root)
    other = Encoder(tiny, pooling="cls")
    target = root / cache._folder_name(other)
    target.mkdir(parents=True)
    (target / path.name).write_bytes(path.read_bytes())
    with pytest.raises(Problem, match=r"holds vectors of the space .*another model or option.*Move the file away"):
        encode_cached(other, TEXTS, root=root)


def test_vectors_of_another_length_are_refused(encoder, root):
    store = Store(root / cache._folder_name(encoder), encoder.space, 8)
    store.write([key_of(encoder.space, "cat")], Rows(np.ones((1, 8), np.float32), np.ones((1, 3), np.int64)))
    with pytest.raises(Problem, match="holds vectors of length 8; this folder takes those of length 16"):
        encode_cached(encoder, ["cat"], root=root)


def test_many_small_files_become_one(encoder, root, calls):
    texts = [f"{a} {b}" for a in ("star", "toy", "cat") for b in ("wars", "story", "house", "car", "red", "blue")]
    for text in texts:
        encode_cached(encoder, [text], root=root)
    assert len(files(root)) <= cache.MOST_FILES
    made = len(calls)
    found = encode_cached(encoder, texts, root=root)
    assert len(calls) == made == len(texts)
    np.testing.assert_allclose(found.vectors, encoder.encode(texts).vectors, atol=1e-6)


def test_a_run_that_dies_keeps_its_finished_pieces(encoder, root, monkeypatch):
    monkeypatch.setattr(cache, "PIECE", 2)
    plain = Encoder.run
    made: list[list[str]] = []

    def dies(self, texts, progress=None):
        made.append(list(texts))
        if len(made) == 2:
            raise KeyboardInterrupt
        return plain(self, texts, progress)

    monkeypatch.setattr(Encoder, "run", dies)
    with pytest.raises(KeyboardInterrupt):
        encode_cached(encoder, ["cat", "dog", "car", "fish"], root=root)
    encode_cached(encoder, ["cat", "dog", "car", "fish"], root=root)
    assert made == [["cat", "dog"], ["car", "fish"], ["car", "fish"]]
    assert not list(root.rglob("*.part"))


def test_progress_counts_over_all_pieces(encoder, root, monkeypatch):
    monkeypatch.setattr(cache, "PIECE", 2)
    told = []
    encode_cached(encoder, ["cat", "dog", "car"], root=root, progress=lambda *said: told.append(said))
    assert [said[:2] for said in told] == [(2, 3), (3, 3)]
    assert told[0][2] > 0 == told[-1][2]


def test_two_at_once_encode_a_text_once(encoder, root, calls):
    encoder.encode(["cat"])  # loaded before the threads start
    calls.clear()
    ready, found = threading.Barrier(3), []

    def work():
        ready.wait()
        found.append(encode_cached(encoder, TEXTS, root=root).vectors)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [["star wars", "toy story", "the red fish"]]
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()


def test_a_place_that_cannot_be_written_is_a_problem(encoder, root):
    root.write_text("")
    with pytest.raises(Problem, match=r"cannot be written .*Make .* writable, or set RECUTILS_HOME"):
        encode_cached(encoder, ["cat"], root=root)


def test_the_project_folder_is_the_default(encoder, root, monkeypatch):
    monkeypatch.setattr(cache.runs, "DATA", root)
    encode_cached(encoder, ["cat"])
    assert len(files(root / "vectors")) == 1
