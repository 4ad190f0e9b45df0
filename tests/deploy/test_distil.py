"""Students move towards their teacher, trainings are kept, and the loss is nought for the teacher itself."""

import numpy as np
import pytest
import torch

from recutils import runs
from recutils.deploy import distil
from recutils.deploy.compress import compact_of
from recutils.tables import Problem
from recutils.tune.classifier import Recipe
from recutils.tune.states import Base

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] good fine bad poor dress shirt the a very and runs small large soft red".split()
RNG = np.random.default_rng(0)
TEXTS = [" ".join(RNG.choice(WORDS[5:], size=n)) for n in RNG.integers(2, 7, size=60)]


@pytest.fixture
def base(tiny_bert, tmp_path, monkeypatch) -> Base:
    monkeypatch.setattr(runs, "DATA", tmp_path)
    return Base(str(tiny_bert(WORDS, 2)), frozen=1, max_tokens=16)


def test_the_loss_is_nought_for_the_teacher_and_sees_order() -> None:
    wanted = torch.nn.functional.normalize(torch.randn(8, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    assert distil.vector_loss(3 * wanted, wanted).item() == pytest.approx(0, abs=1e-6)
    assert distil.vector_loss(wanted.roll(1, 0), wanted).item() > 0.1
    assert distil.pair_loss(wanted, wanted @ wanted.T).item() == pytest.approx(0, abs=1e-6)


def test_students_learn_their_teacher_and_are_kept(base: Base, monkeypatch) -> None:
    teacher = compact_of(*base.load(), max_tokens=16)
    goal = teacher.encode(TEXTS)
    for make in (
        lambda epochs: distil.layer_student(
            teacher, [1], TEXTS, goal, Recipe(epochs=epochs, learning_rate=5e-3, weight_decay=0)
        ),
        lambda epochs: distil.table_student(
            teacher, TEXTS, goal, Recipe(epochs=epochs, learning_rate=2e-2, weight_decay=0)
        ),
    ):
        student, history = make(12)
        assert history.losses[-1] < 0.7 * history.losses[0]
        assert (student.encode(TEXTS) * goal).sum(1).mean() > 0.9
        np.testing.assert_array_equal(teacher.encode(TEXTS), goal)
        with monkeypatch.context() as patch:
            patch.setattr(distil, "train", None)  # kept: no second training
            again, told = make(12)
        np.testing.assert_array_equal(again.encode(TEXTS), student.encode(TEXTS))
        assert told == history


def test_a_goal_of_other_texts_is_refused(base: Base) -> None:
    teacher = compact_of(*base.load(), max_tokens=16)
    with pytest.raises(Problem, match="one row for each"):
        distil.table_student(teacher, TEXTS, np.zeros((3, 16), dtype=np.float32), Recipe())


def test_a_table_knows_no_order_and_a_strange_word_says_nothing(base: Base) -> None:
    teacher = compact_of(*base.load(), max_tokens=16)
    texts = [text for text in TEXTS if "red" not in text]
    student, _ = distil.table_student(teacher, texts, teacher.encode(texts), Recipe(epochs=1))
    one, other, strange = student.encode(["good dress", "dress good", "red"])
    np.testing.assert_allclose(one, other, atol=1e-6)
    rows = student.module.rows.detach().numpy()
    assert not rows[WORDS.index("red")].any() and rows[WORDS.index("good")].any()


def test_tuning_moves_cosines_towards_behaviour(base: Base) -> None:
    group = np.array(["good" in text for text in TEXTS])
    alike = np.where(group[:, None] == group, 0.9, -0.2).astype(np.float32)
    apart = ~np.eye(len(TEXTS), dtype=bool)

    def off(model) -> float:
        found = compact_of(base.load()[0], model, max_tokens=16).encode(TEXTS)
        return float(((found @ found.T - alike)[apart] ** 2).mean())

    model, history = distil.tuned(base, TEXTS, alike, Recipe(epochs=10, learning_rate=1e-2))
    assert off(model) < 0.8 * off(base.load()[1])
    assert len(history.losses) == 10
    frozen, moved = (model.encoder.layer[n].output.dense.weight for n in (0, 1))
    first, second = (base.load()[1].encoder.layer[n].output.dense.weight for n in (0, 1))
    assert torch.equal(frozen, first) and not torch.equal(moved, second)
    with pytest.raises(Problem, match="one row and column"):
        distil.tuned(base, TEXTS, alike[:3], Recipe())


def test_likeness_is_the_cosine_and_an_unknown_item_is_like_nothing() -> None:
    found = distil.likeness_of(np.array([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0], [0.0, 0.0]]))
    np.testing.assert_allclose(found[0], [1, 0, np.sqrt(0.5), 0], atol=1e-6)
