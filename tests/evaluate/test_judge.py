"""The judgement of planted lists: perfect, half right, popularity, nothing."""

import numpy as np
import pytest
from scipy import sparse

from recutils.evaluate import metrics
from recutils.evaluate.judge import Judgement, judge, of_values
from recutils.tables import Problem

N_USERS, N_ITEMS, K = 80, 30, 5


def planted() -> tuple[dict[str, np.ndarray], sparse.csr_matrix]:
    rng = np.random.default_rng(0)
    order = rng.permuted(np.tile(np.arange(N_ITEMS), (N_USERS, 1)), axis=1)
    relevant = np.zeros((N_USERS, N_ITEMS))
    np.put_along_axis(relevant, order[:, :K], 1, axis=1)
    relevant[:4] = 0  # no truth
    half = np.concatenate([order[:, :2], order[:, 10:18]], axis=1)
    lists = {"popularity": np.tile(np.arange(10), (N_USERS, 1)), "perfect": order[:, :10], "half": half}
    return {**lists, "nothing": order[:, 10:20]}, sparse.csr_matrix(relevant)


def judged(**options: object) -> Judgement:
    lists, truth = planted()
    return judge(lists, truth, K, **{"seed": 7, "draws": 500, **options})


def test_planted_order() -> None:
    found = judged()
    ndcg = {model: found.find(model, "ndcg") for model in found.models}
    assert ndcg["perfect"].value == 1
    assert ndcg["nothing"].value == 0
    assert found.find("half", "recall").value == pytest.approx(0.4)
    assert ndcg["perfect"].p_holm == pytest.approx(3 / 501)
    assert (ndcg["half"].n, found.n_left_out) == (N_USERS - 4, 4)
    assert ndcg["nothing"].delta_high < 0


def test_values_are_the_metrics() -> None:
    lists, truth = planted()
    found = judged()
    for name in metrics.METRICS:
        assert np.array_equal(
            found.values[name]["half"], getattr(metrics, name)(lists["half"], truth, K), equal_nan=True
        )


def test_per_user_table_allows_the_test_again() -> None:
    users = np.arange(N_USERS) * 10
    frame = judged(users=users).per_user
    assert list(frame.columns) == ["user", "model", "metric", "value"]
    assert len(frame) == N_USERS * 4 * len(metrics.METRICS)
    wide = frame[frame.metric == "ndcg"].pivot(index="user", columns="model", values="value")
    assert wide.index.tolist() == users.tolist()
    assert wide["half"].mean() == pytest.approx(judged().find("half", "ndcg").value)
    assert wide["half"].isna().sum() == 4


def test_records_carry_their_labels() -> None:
    records = judged().records("30_model_baselines", "ml-100k", "H", "temporal", group="new users")
    assert {(one.notebook, one.dataset, one.split, one.group, one.k) for one in records} == {
        ("30_model_baselines", "ml-100k", "temporal", "new users", K)
    }
    assert records == judged().records("30_model_baselines", "ml-100k", "H", "temporal", group="new users")


def test_table() -> None:
    table = judged().table(["ndcg", "recall"])
    assert list(table.columns) == ["model", "ndcg@5", "recall@5", "Δ ndcg to popularity", "p (Holm)", "users"]
    assert table.model.tolist() == ["popularity", "perfect", "half", "nothing"]
    assert table["ndcg@5"][1] == "1.000 [1.000, 1.000]"
    assert table["Δ ndcg to popularity"][0] == ""
    assert table["Δ ndcg to popularity"][1].startswith("+0.")
    assert table["Δ ndcg to popularity"][3].startswith("-0.")
    assert table.users.tolist() == [76] * 4


def test_table_keeps_the_baseline_and_the_best() -> None:
    lists, truth = planted()
    many = {f"copy {copy}": lists["nothing"] for copy in range(14)} | lists
    shown = judge(many, truth, K, seed=0, draws=50).table().model.tolist()
    assert len(shown) == 15
    assert {"popularity", "perfect", "half"} <= set(shown)
    assert judged().table(rows=2).model.tolist() == ["popularity", "perfect"]


def test_extra_values_and_no_baseline() -> None:
    extra = {"novelty": {model: np.linspace(0, 4, N_USERS) for model in planted()[0]}}
    found = judged(extra=extra, baseline=None)
    assert found.find("half", "novelty").value == pytest.approx(2)
    assert list(found.table(["novelty"]).columns) == ["model", "novelty", "users"]
    assert all(one.delta is None for one in found.records("n", "d", "H", "s"))


def test_one_model_one_user() -> None:
    found = judge({"popularity": np.array([[0, 1, 2]])}, sparse.csr_matrix([[0, 1, 0, 0]]), 3, seed=0)
    assert found.table(["reciprocal_rank"])["reciprocal_rank@3"].tolist() == ["0.500"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baseline": "svd"}, "not among the models"),
        ({"family": ["map"]}, "family"),
        ({"family": []}, "family"),
        ({"users": np.arange(3)}, "80"),
        ({"extra": {"ndcg": {}}}, "new name"),
        ({"extra": {"novelty": {"half": np.zeros(3)}}}, "half"),
        ({"seed": -1}, "seed"),
    ],
)
def test_refusals(options: dict, message: str) -> None:
    with pytest.raises(Problem, match=message):
        judged(**options)


def test_refuses_empty_tasks() -> None:
    lists, truth = planted()
    with pytest.raises(Problem, match="at least one user"):
        judge(lists, sparse.csr_matrix(truth.shape), K, seed=0)
    with pytest.raises(Problem, match="at least one model"):
        judge({}, truth, K, seed=0)
    with pytest.raises(Problem, match=r"1\.\.10"):
        judge(lists, truth, 11, seed=0)
    with pytest.raises(Problem, match="metrics"):
        judged().table(["mrr"])


def test_values_made_elsewhere_are_judged_alike() -> None:
    values = {"ndcg": {"popularity": np.array([0.0, 0.5, 1.0]), "mean of starts": np.array([0.5, 1.0, 1.0])}}
    judged = of_values(values, np.array([3, 5, 8]), 10, seed=0, draws=200)
    assert judged.find("mean of starts", "ndcg").delta == pytest.approx(1 / 3)
    assert judged.models == ("popularity", "mean of starts") and judged.per_user.user.tolist() == [3, 5, 8] * 2
    with pytest.raises(Problem, match="one row number per judged user"):
        of_values(values, np.arange(2), 10, seed=0)
