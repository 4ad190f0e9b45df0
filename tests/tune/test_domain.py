"""Continued training: it learns what the texts hold, leaves the frozen part alone, and says what it cannot use."""

import numpy as np
import pytest
import torch

from recutils.tables import Problem
from recutils.tune.classifier import Recipe
from recutils.tune.domain import HOWS, adapted, contrast, halves, masked, pooled_vectors, word_loss
from recutils.tune.states import Base, states_of

QUICK = Recipe(epochs=20, batch=16, learning_rate=1e-2)
TEXTS = [" ".join(["good dress the shirt"] * 3), " ".join(["bad red small a"] * 3)] * 30


@pytest.fixture(scope="module")
def base(tiny: str) -> Base:
    return Base(tiny, frozen=1, max_tokens=16)


def test_halves_are_cut_by_words_and_short_texts_are_left_out() -> None:
    assert halves(["a b c d e f g h", "short", "1 2 3 4 5 6 7 8 9"]) == (
        ["a b c d", "1 2 3 4"],
        ["e f g h", "5 6 7 8 9"],
    )
    with pytest.raises(Problem, match="0 of 2 texts"):
        halves(["short", "shorter"])


def test_contrast_is_low_for_partners_and_its_chance_level_is_known() -> None:
    vectors = torch.eye(6)
    assert contrast(vectors, vectors) < 1e-6 < 1 < contrast(vectors, vectors.flip(0))
    assert contrast(vectors, vectors.roll(1, 0), 0.05).item() == pytest.approx(20.0, abs=1e-3)
    same = torch.ones(6, 4)
    assert contrast(same, same).item() == pytest.approx(np.log(6))


def test_masks_hide_words_never_special_tokens(base: Base) -> None:
    found = masked(base, TEXTS[:4], 0, share=0.5)
    tokenizer, _ = base.load()
    for text, places, words in zip(TEXTS, found.places, found.words, strict=False):
        tokens = tokenizer(text, truncation=True, max_length=16)["input_ids"]
        assert places.min() >= 1 and places.max() <= len(tokens) - 2 and len(places) == round(0.5 * len(tokens))
        assert [tokens[place] for place in places] == words.tolist()
    again = masked(base, TEXTS[:4], 0, share=0.5)
    assert all(np.array_equal(a, b) for a, b in zip(found.places, again.places, strict=True))
    with pytest.raises(Problem, match="share"):
        masked(base, TEXTS, 0, share=1.0)


def test_guessing_words_gets_better_on_the_texts_of_the_domain(base: Base) -> None:
    before = word_loss(base, base.load()[1], TEXTS[:10]).mean()
    model, history = adapted(base, TEXTS, "masked words", QUICK)
    after = word_loss(base, model, TEXTS[:10]).mean()
    assert after < 0.95 * before and history.losses[-1] < 0.95 * history.losses[0]


def test_halves_of_one_text_come_closer_than_of_others(base: Base) -> None:
    def gap(model) -> float:
        first, second = (pooled_vectors(base, model, states_of(base, half)) for half in halves(TEXTS[:2]))
        first, second = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (first, second))
        alike = first @ second.T
        return float(np.trace(alike) - alike.sum() + np.trace(alike))

    model, _ = adapted(base, TEXTS, "two halves", QUICK)
    assert gap(model) > gap(base.load()[1]) + 0.1


@pytest.mark.parametrize("how", HOWS)
def test_frozen_parts_stay_and_one_seed_gives_one_model(base: Base, how: str) -> None:
    short = Recipe(epochs=1, batch=16)
    plain, (first, _), (again, _) = base.load()[1], adapted(base, TEXTS, how, short), adapted(base, TEXTS, how, short)
    same = {name: torch.equal(tensor, first.state_dict()[name]) for name, tensor in plain.state_dict().items()}
    moved = {name for name, is_same in same.items() if not is_same}
    assert moved and all(name.startswith("encoder.layer.1.") for name in moved)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in first.state_dict().items())


def test_bad_input(base: Base) -> None:
    with pytest.raises(Problem, match="masked words, two halves"):
        adapted(base, TEXTS, "magic", QUICK)
    with pytest.raises(Problem, match="fill a batch"):
        adapted(base, TEXTS[:3], HOWS[0], QUICK)


def test_answers_before_and_after_are_kept_and_cut_into_parts(tiny: str, planted, tmp_path, monkeypatch) -> None:
    from recutils import runs
    from recutils.data.labelled import parts
    from recutils.tune.reading import Domains

    monkeypatch.setattr(runs, "DATA", tmp_path)
    base = Base(tiny, frozen=1, max_tokens=16)
    study = Domains(base, {"planted": planted}, {"planted": parts(planted)}, 60, 30, 2, 1, 10, 20)
    before = study.answers("planted", "", probed=("planted",), tuned=("planted",))
    after = study.answers("planted", HOWS[0], probed=("planted",))
    assert len(list((tmp_path / "interim" / "tuned").glob("*.safetensors"))) == 2
    valid, test = (study.chances(before, "planted", "tuned", part) for part in ("valid", "test"))
    assert [len(one) for one in (*valid, *test)] == [10, 10, 20, 20]
    assert len(study.labels("planted", "test")) == 20 and "planted, tuned 0" not in after
    assert not np.allclose(before["planted, words"], after["planted, words"])
    again = study.answers("planted", "", probed=("planted",), tuned=("planted",))
    assert all(np.array_equal(before[name], again[name]) for name in before)
