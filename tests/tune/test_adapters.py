"""Adapters: each learns what is planted, moves only its own weights, and what merges answers as before."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recutils.data.labelled import Labelled
from recutils.model.training import seeded
from recutils.tables import Problem
from recutils.tune.adapters import (
    KINDS,
    PEFT,
    PLACES,
    Method,
    about_adapter,
    adapt,
    adapted,
    after_steps,
    arrays_of,
    merged,
    n_encoder,
    off_orthogonal,
    put,
)  # fmt: skip
from recutils.tune.classifier import Recipe, logits, n_trained, new_classifier, probabilities
from recutils.tune.kept import load_weights, save_weights
from recutils.tune.states import Base, States

QUICK = Recipe(epochs=8, learning_rate=2e-2, head_rate=1.0, batch=16, dropout=0.0)
SIZES = {"top": 1, "lora": 4, "dora": 4, "adalora": 4}
METHODS = {kind: Method(kind, SIZES.get(kind, 8)) for kind in KINDS}
STRONG = ("full", "top", *PEFT[:3])  # enough numbers to bend a layer that knows no words; the others bend it a little
each_method = pytest.mark.parametrize("kind", KINDS)


@each_method
def test_each_learns_what_the_words_decide_and_leaves_the_rest(base: Base, states: States, planted, kind: str) -> None:
    train, asked = np.arange(140), np.arange(140, 200)
    strong = replace(METHODS[kind], places=tuple(PLACES)) if kind in STRONG else METHODS[kind]
    recipe = replace(QUICK, epochs=20)
    made = adapt(base, states.only(train), planted.labels[train], recipe, strong)
    right = (probabilities(made, states.only(asked)).argmax(axis=1) == planted.labels[asked]).mean()
    assert right > (0.9 if kind in STRONG else 0.65)
    before = adapted(base, 2, strong)
    still = {name: weight for name, weight in before.named_parameters() if not weight.requires_grad}
    now = dict(made.named_parameters())
    assert all(torch.equal(now[name], weight) for name, weight in still.items())
    assert {name for name, weight in now.items() if weight.requires_grad} == now.keys() - still.keys()
    assert "head.weight" in now and now["head.weight"].requires_grad and torch.any(now["head.weight"] != 0)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("prefix", "prompt")])
def test_before_training_an_adapter_answers_like_the_base(base: Base, states: States, kind: str) -> None:
    plain, made = new_classifier(base, 2), adapted(base, 2, METHODS[kind])
    for one in (plain, made):
        with torch.no_grad():
            one.head.weight[0] = torch.arange(32) / 32
    np.testing.assert_allclose(logits(made, states), logits(plain, states), atol=1e-5)


def test_counts_of_moving_weights_are_those_of_the_formulas(base: Base) -> None:
    width, inner, head = 16, 32, 2 * 32 + 2  # one tuned layer of 16 numbers, 32 inside
    wanted = {
        "lora": 2 * 4 * 2 * width, "dora": 2 * (4 * 2 * width + width), "adalora": 2 * (6 * 2 * width + 6 + 1),
        "ia3": 2 * width + inner, "bottleneck": 2 * (2 * 8 * width + 8 + width), "prefix": 2 * 8 * width,
        "prompt": 8 * width, "head": 0, "bitfit": 4 * width + inner + width + 2 * width,
    }  # fmt: skip
    found = {kind: n_trained(adapted(base, 2, METHODS[kind])) - head for kind in wanted}
    found["adalora"] += 2 * 1  # its count of ranks is no trained number
    assert found == wanted
    assert n_trained(adapted(base, 2, METHODS["full"])) == n_trained(new_classifier(base, 2))


@pytest.mark.parametrize("kind", PEFT)
def test_merging_changes_no_answer_and_leaves_nothing_beside(base: Base, states: States, planted, kind: str) -> None:
    made = adapt(base, states, planted.labels, QUICK, METHODS[kind])
    whole, plain = merged(made), new_classifier(base, 2)
    np.testing.assert_allclose(logits(whole, states), logits(made, states), atol=1e-4)
    assert {n: w.shape for n, w in whole.named_parameters()} == {n: w.shape for n, w in plain.named_parameters()}
    assert not np.allclose(logits(made, states), logits(put_head(plain, made), states), atol=1e-3)


def put_head(plain: torch.nn.Module, made: torch.nn.Module) -> torch.nn.Module:
    plain.head.load_state_dict(made.head.state_dict())
    return plain.eval()


@pytest.mark.parametrize("kind", ["bottleneck", "prefix", "prompt"])
def test_what_cannot_be_merged_says_so(base: Base, kind: str) -> None:
    with pytest.raises(Problem, match="cannot be merged"):
        merged(adapted(base, 2, METHODS[kind]))


@pytest.mark.parametrize("kind", ["prefix", "prompt"])
def test_what_stands_before_the_text_is_seen_by_it_and_hidden_from_the_pooling(base, states, kind: str) -> None:
    with seeded(0):
        made = adapted(base, 2, METHODS[kind])
    with torch.no_grad():
        made.head.weight[0] = torch.arange(32) / 32
    alone = np.concatenate([logits(made, states.only(np.array([row]))) for row in range(6)])
    np.testing.assert_allclose(logits(made, states)[:6], alone, atol=1e-5)
    hidden, mask = states.batch([0, 1])
    with torch.no_grad():
        first = made.eval()(hidden, mask)
        for name, weight in made.named_parameters():
            if name.endswith(("vectors", "values", "keys")):
                weight.mul_(50).add_(1)
        assert not torch.allclose(made(hidden, mask), first, atol=1e-3)


def test_adalora_gives_ranks_away_to_its_budget(base: Base, states: States, planted: Labelled) -> None:
    made = adapt(base, states, planted.labels, QUICK, METHODS["adalora"])
    kept = [int((weight != 0).sum()) for name, weight in made.named_parameters() if "lora_E" in name]
    assert sum(kept) == 2 * 4 and max(kept) <= 6
    factors = torch.nn.ModuleDict({"lora_A": torch.nn.Linear(4, 2, bias=False)})
    torch.nn.init.eye_(factors["lora_A"].weight)
    assert off_orthogonal(factors).item() == 0
    with pytest.raises(Problem, match="3 steps"):
        adapt(base, states.only(np.arange(20)), planted.labels[:20], replace(QUICK, epochs=1), METHODS["adalora"])


def test_a_call_after_each_step_sees_gradients_and_ends() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    optimiser, seen = torch.optim.SGD([weight]), []
    for inside in (True, False):
        with after_steps(lambda step: seen.append((step, weight.grad.item()))):
            if inside:
                for _ in range(2):
                    optimiser.zero_grad()
                    (3 * weight).sum().backward()
                    optimiser.step()
        optimiser.step()
    assert seen == [(1, 3.0), (2, 3.0)]


def test_one_seed_gives_one_adapter(base: Base, states: States, planted: Labelled) -> None:
    short = replace(QUICK, epochs=1)
    first, again, other = (
        logits(adapt(base, states, planted.labels, replace(short, seed=seed), METHODS["lora"]), states)
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_an_adapter_is_kept_and_only_fits_its_base(tiny: str, base: Base, states, planted, tmp_path: Path) -> None:
    made = adapt(base, states, planted.labels, replace(QUICK, epochs=2), METHODS["lora"])
    about = about_adapter(base, METHODS["lora"], planted.classes)
    folder = save_weights(made, tmp_path / "lora", about)
    again = load_weights(adapted(base, 2, METHODS["lora"]), folder, about)
    assert np.array_equal(logits(again, states), logits(made, states))
    assert np.array_equal(logits(put(adapted(base, 2, METHODS["lora"]), arrays_of(made)), states), logits(made, states))
    other = Base(tiny, frozen=0, max_tokens=16)
    with pytest.raises(Problem, match="another model"):
        load_weights(adapted(other, 2, METHODS["lora"]), folder, about_adapter(other, METHODS["lora"], planted.classes))
    with pytest.raises(Problem, match="missing"):
        put(adapted(base, 2, METHODS["ia3"]), arrays_of(made))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"kind": "lora", "size": 0}, "rank must be at least 1; got 0"),
        ({"kind": "lorra"}, "lorra"),
        ({"kind": "lora", "places": ("query", "gate")}, "gate"),
        ({"kind": "lora", "places": ()}, "none"),
    ],
)
def test_senseless_methods_are_refused(options: dict, word: str) -> None:
    with pytest.raises(Problem, match=word):
        Method(**options)


def test_sizes_must_fit_the_base(tiny: str, base: Base) -> None:
    with pytest.raises(Problem, match="all layers are frozen"):
        adapted(Base(tiny, frozen=2, max_tokens=16), 2, METHODS["lora"])
    for method, word in ((Method("lora", 17), "at most 16"), (Method("top", 2), "at most 1")):
        with pytest.raises(Problem, match=word):
            adapted(base, 2, method)


def test_the_whole_encoder_is_counted_without_its_unread_pooler(base: Base) -> None:
    model = base.load()[1]
    assert n_encoder(base, model) == sum(w.numel() for w in model.parameters()) - (16 * 16 + 16) * (
        model.pooler is not None
    )
