"""Remedies: each does to the loss or the texts what its paper says, and nothing when its strength is zero."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recutils.tables import Problem
from recutils.tune.classifier import Recipe, cross_entropy, logits, tuned
from recutils.tune.remedies import (
    Remedy,
    fgm,
    neighbours,
    paraphrases,
    r_drop,
    standing_in,
    token_dropout,
    tuned_with,
    with_synonyms,
    worst,
)  # fmt: skip
from recutils.tune.states import Base, States, states_of

QUICK = Recipe(epochs=2, learning_rate=1e-2, head_rate=3.0, batch=16)


@pytest.fixture(scope="module")
def trained(base: Base, states: States, planted):
    return tuned(base, states, planted.labels, replace(QUICK, epochs=1, dropout=0.0))


def _batch(states: States, planted, rows=range(12)):
    return torch.from_numpy(planted.labels[list(rows)]), *states.batch(rows)


@pytest.mark.parametrize("make", [token_dropout(0.0), fgm(0.0), r_drop(0.0)])
def test_a_remedy_of_strength_zero_is_the_plain_loss(trained, states: States, planted, make) -> None:
    batch = _batch(states, planted)
    plain = cross_entropy(QUICK)(trained, *batch)
    torch.testing.assert_close(make(QUICK)(trained, *batch), plain, rtol=1e-5, atol=1e-6)


def test_the_adversary_s_step_has_the_asked_length_and_raises_the_loss(trained, states: States, planted) -> None:
    labels, hidden, mask = _batch(states, planted)
    given = hidden.detach().float().requires_grad_()
    first = cross_entropy(QUICK)(trained, labels, given, mask)
    (slope,) = torch.autograd.grad(first, given)
    step = worst(given, slope, 0.05)
    torch.testing.assert_close(step.flatten(1).norm(dim=1), 0.05 * given.detach().flatten(1).norm(dim=1))
    raised = [cross_entropy(QUICK)(trained, labels, (given + sign * step).detach(), mask) for sign in (1, -1)]
    assert raised[1] < first < raised[0]
    assert not worst(given, torch.zeros_like(slope), 0.05).any()
    expected = (first + raised[0]) / 2
    torch.testing.assert_close(fgm(0.05)(QUICK)(trained, labels, hidden, mask), expected, rtol=1e-4, atol=1e-6)


def test_token_dropout_hides_the_asked_share_and_keeps_the_first() -> None:
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            seen.append(mask)
            return torch.zeros(len(hidden), 2, requires_grad=True)

    mask = torch.ones(50, 40, dtype=torch.bool)
    mask[:, 30:] = False
    torch.manual_seed(0)
    token_dropout(0.3)(QUICK)(Spy(), torch.zeros(50, dtype=torch.int64), torch.zeros(50, 40, 4), mask)
    assert seen[0][:, 0].all() and not seen[0][:, 30:].any()
    assert 0.65 < seen[0][:, 1:30].float().mean() < 0.75


def test_r_drop_punishes_answers_that_differ(trained, states: States, planted) -> None:
    labels, hidden, mask = _batch(states, planted)
    for module in trained.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    trained.train()
    values = []
    for alpha in (0.0, 5.0):
        torch.manual_seed(3)
        values.append(float(r_drop(alpha)(QUICK)(trained, labels, hidden, mask).detach()))
    trained.eval()
    for module in trained.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    assert values[1] > values[0]


def test_other_wordings_stand_in_at_half_of_the_readings() -> None:
    ones, zeros = (States(tuple(torch.full((3, 2), value) for _ in range(400))) for value in (1.0, 0.0))
    drawn = standing_in(zeros, ones, np.arange(400) % 2, 16)
    first = torch.cat([hidden[:, 0, 0] for _, hidden, _ in drawn(0, np.random.default_rng(0))])
    assert len(first) == 400 and 0.42 < first.mean() < 0.58
    with pytest.raises(Problem, match="one each"):
        standing_in(zeros, ones, np.arange(3), 16)


def test_every_remedy_trains_and_a_seed_gives_one_result(base: Base, states: States, planted) -> None:
    rows = np.arange(40)
    for remedy in (Remedy(name="none"), Remedy(name="FGM", loss=fgm()), Remedy(name="R-Drop", loss=r_drop())):
        found = [logits(tuned_with(remedy, base, states.only(rows), planted.labels[rows], QUICK), states) for _ in "ab"]
        assert np.array_equal(*found) and np.ptp(found[0]) > 0
    plain = logits(tuned(base, states.only(rows), planted.labels[rows], QUICK), states)
    none = logits(tuned_with(Remedy(name="none"), base, states.only(rows), planted.labels[rows], QUICK), states)
    assert np.array_equal(plain, none)
    with pytest.raises(Problem, match="other words"):
        tuned_with(Remedy(name="synonyms", versions="synonyms"), base, states, planted.labels, QUICK)


def test_neighbours_are_the_nearest_whole_words(base: Base) -> None:
    model = base.load()[1]
    near = neighbours(base, ["good", "nonsense", "the"])
    assert set(near) == {"good", "the"} and all(word != other for word, other in near.items())
    tokenizer = base.load()[0]
    table = torch.nn.functional.normalize(model.embeddings.word_embeddings.weight.detach(), dim=1)
    row = tokenizer.get_vocab()
    alike = {word: float(table[row["good"]] @ table[row[word]]) for word in ("fine", "bad", "poor", "dress", "shirt")}
    assert all(alike[word] <= float(table[row["good"]] @ table[row[near["good"]]]) + 1e-6 for word in alike)
    assert neighbours(base, ["nonsense"]) == {}


def test_synonyms_replace_the_asked_share_of_known_words() -> None:
    near = {"good": "fine"}
    rng = np.random.default_rng(0)
    made = with_synonyms(["Good dress, good goods"] * 400, near, 0.25, rng)
    replaced = sum(text.count("fine") for text in made) / 800
    assert 0.2 < replaced < 0.3 and all("goods" in text and "dress" in text for text in made)
    assert with_synonyms(["Good dress"], near, 0.0, rng) == ["Good dress"]
    with pytest.raises(Problem, match="share"):
        with_synonyms(["a"], near, 1.0, rng)


def test_a_silent_paraphrase_leaves_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    class Written:
        texts = ("other words", " ")

    monkeypatch.setattr("recutils.tune.remedies.write_cached", lambda writer, asked: Written())
    assert paraphrases(None, ["one", "two"]) == ["other words", "two"]


def test_the_states_of_other_wordings_are_made_as_ever(base: Base, planted) -> None:
    rows = np.arange(30)
    made = with_synonyms([planted.texts[row] for row in rows], {"good": "fine"}, 0.5, np.random.default_rng(0))
    versions = states_of(base, made)
    remedy = Remedy(name="synonyms", versions="synonyms")
    mine = states_of(base, [planted.texts[row] for row in rows])
    found = tuned_with(remedy, base, mine, planted.labels[rows], QUICK, versions=versions)
    assert np.isfinite(logits(found, mine)).all()


def test_wordings_that_change_nothing_change_nothing(base: Base, states: States, planted) -> None:
    rows = np.arange(40)
    mine, labels = states.only(rows), planted.labels[rows]
    remedy = Remedy(name="same", versions="same")
    stood_in = logits(tuned_with(remedy, base, mine, labels, QUICK, versions=mine), states)
    assert np.array_equal(stood_in, logits(tuned(base, mine, labels, QUICK), states))
