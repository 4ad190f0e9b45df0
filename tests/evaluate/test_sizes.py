"""Several sizes at once: the verdicts by planted differences, the intervals wider than one alone, Holm over sizes."""

import numpy as np

from recutils.evaluate.labels import judged
from recutils.evaluate.sizes import gains, records


def _judged(gap: float, seed: int):
    rng = np.random.default_rng(seed)
    labels = np.arange(800) % 2
    weak = 1 / (1 + np.exp(-(labels + rng.normal(size=800))))
    strong = 1 / (1 + np.exp(-(labels * (1 + gap) + rng.normal(size=800))))
    tables = {name: [np.stack([1 - p, p], axis=1)] for name, p in (("words", weak), ("tuned", strong))}
    return judged(labels, tables, seed=seed, draws=400)


def test_verdicts_follow_the_planted_gains() -> None:
    found = {10: _judged(0.0, 0), 20: _judged(1.5, 1), 30: _judged(-0.9, 2)}
    table = gains(found, "tuned", "words", least=0.01)
    assert table.verdict.tolist() == ["open", "yes", "below"]
    assert gains(found, "tuned", "words", least=0.9).verdict.tolist()[1] == "too small"
    alone = found[20].compare("tuned", "words")
    assert table.low[1] <= alone.low and table.high[1] >= alone.high
    assert (table["p (Holm)"] >= [one.compare("tuned", "words").p for one in found.values()]).all()


def test_only_the_comparison_of_the_family_has_a_p() -> None:
    made = records({10: _judged(1.0, 0), 20: _judged(1.5, 1)}, "tuned", "words", seed=3, notebook="40_tune_encoder",
                   dataset="x", protocol="labels", split="test")  # fmt: skip
    tested = [record for record in made if record.p is not None]
    assert [(record.model, record.metric, record.group) for record in tested] == [
        ("tuned", "auc", "10 labels"), ("tuned", "auc", "20 labels"),
    ]  # fmt: skip
    assert all(record.p_holm >= record.p for record in tested)
