"""Records: what they refuse, that files are byte-identical, and that figures from per-user values are right."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recutils.evaluate import statistics
from recutils.evaluate.records import FIELDS, LEFT_OUT, Record, Records, from_users
from recutils.tables import Problem

LABELS = {"notebook": "30_model_baselines", "dataset": "ml-100k", "protocol": "H", "split": "temporal"}


def record(**changes: object) -> Record:
    return Record(
        **{**LABELS, "model": "svd", "metric": "ndcg", "k": 10, "value": 0.25, "n": 943, "seed": 7, **changes}
    )


def per_user(seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    base = rng.random(120)
    base[:5] = np.nan
    models = {"popularity": base, "svd": base + 0.05 + rng.normal(scale=0.1, size=120), "als": base + 0.001}
    return {"ndcg": models, "recall": {name: values * 0.5 for name, values in models.items()}}


def test_fields_are_the_agreed_ones_in_order() -> None:
    assert FIELDS == (
        *(
            "notebook",
            "dataset",
            "protocol",
            "split",
            "model",
            "metric",
            "k",
            "group",
            "value",
            "low",
            "high",
            "n",
            "seed",
        ),
        *("against", "delta", "delta_low", "delta_high", "p", "p_holm"),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": np.nan}, "'value' must be a finite number; got nan"),
        ({"value": None}, "value"),
        ({"value": "0.3"}, "value"),
        ({"value": True}, "value"),
        ({"low": 0.3, "high": 0.2}, "in order"),
        ({"low": 0.3}, "together"),
        ({"high": np.inf, "low": 0.0}, "high"),
        ({"n": -1}, "'n'"),
        ({"n": 3.0}, "'n'"),
        ({"k": 0}, "'k'"),
        ({"model": ""}, "'model'"),
        ({"against": "popularity"}, "both against and delta"),
        ({"delta": 0.1}, "both against and delta"),
        ({"against": "popularity", "delta": 0.1, "p": 1.5}, r"0\.\.1"),
    ],
)
def test_refusals(changes: dict, message: str) -> None:
    with pytest.raises(Problem, match=message):
        record(**changes)


def test_numpy_numbers_become_plain_ones() -> None:
    made = record(value=np.float32(0.5), n=np.int64(3), k=np.int32(5), seed=np.int64(1), low=-0.0, high=np.float64(1))
    assert [type(getattr(made, name)) for name in ("value", "n", "k", "seed", "low")] == [float, int, int, int, float]
    assert json.dumps(made.low) == "0.0"
    assert record(value=1 / 3) == record(value=1 / 3 + 1e-13)  # noise of the last bits is not kept


def test_files_are_byte_identical_whatever_the_order(tmp_path: Path) -> None:
    made = from_users(per_user(), seed=7, baseline="popularity", k=10, **LABELS)
    again = from_users(per_user(), seed=7, baseline="popularity", k=10, **LABELS)
    first = made.write(tmp_path / "a.json").read_bytes()
    assert first == Records(reversed(again)).write(tmp_path / "deep" / "b.json").read_bytes()
    assert first == (made + again).write(tmp_path / "c.json").read_bytes()
    assert first.endswith(b"}\n]\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "c.json", "deep"]


def test_round_trip(tmp_path: Path) -> None:
    made = Records(
        sorted(from_users(per_user(), seed=7, baseline="popularity", **LABELS), key=lambda one: one.identity)
    )
    read = Records.read(made.write(tmp_path / "records.json"))
    assert read == made
    assert read[0] == made[0]
    assert read[:2] == made[:2]
    assert Records.read(Records().write(tmp_path / "none.json")) == Records()


def test_records_that_disagree_are_not_written(tmp_path: Path) -> None:
    target = Records([record()]).write(tmp_path / "records.json")
    before = target.read_bytes()
    with pytest.raises(Problem, match=r"disagree.*0\.25 and 0\.3|disagree.*0\.3 and 0\.25"):
        Records([record(), record(value=0.3)]).write(target)
    assert target.read_bytes() == before
    assert len(Records.read(Records([record(), record(value=0.3, group="long history")]).write(target))) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "JSON file of records"),
        ('{"value": 1}', "JSON list"),
        ("[3]", "record 0"),
        ('[{"value": 1}]', "record 0: expected exactly the fields"),
        ("[NaN]", "NaN"),
    ],
)
def test_reading_refuses(tmp_path: Path, text: str, message: str) -> None:
    target = tmp_path / "records.json"
    target.write_text(text, encoding="utf-8")
    with pytest.raises(Problem, match=message):
        Records.read(target)


def test_reading_names_the_record_and_the_missing_file(tmp_path: Path) -> None:
    target = Records([record(model="a"), record(model="b")]).write(tmp_path / "records.json")
    target.write_text(target.read_text(encoding="utf-8").replace('"n": 943', '"n": "many"'), encoding="utf-8")
    with pytest.raises(Problem, match=r"records\.json, record 0: record field 'n'"):
        Records.read(target)
    with pytest.raises(Problem, match=r"missing\.json"):
        Records.read(tmp_path / "missing.json")


def test_frame() -> None:
    frame = from_users(per_user(), seed=7, baseline="popularity", k=10, **LABELS).to_frame()
    assert tuple(frame.columns) == FIELDS
    assert frame.k.dtype == "Int64"
    assert frame.loc[frame.model == "popularity", "delta"].isna().all()
    assert isinstance(Records().to_frame(), pd.DataFrame)
    assert tuple(Records().to_frame().columns) == FIELDS


def test_figures_are_those_of_statistics() -> None:
    values = per_user()
    made = {(one.model, one.metric): one for one in from_users(values, seed=7, baseline="popularity", **LABELS)}
    svd = made["svd", "ndcg"]
    interval = statistics.mean_interval(values["ndcg"]["svd"], 7)
    compared = statistics.compare(values["ndcg"]["svd"], values["ndcg"]["popularity"], 7)
    assert (svd.value, svd.low, svd.high) == pytest.approx((interval.mean, interval.low, interval.high), rel=1e-9)
    assert (svd.delta, svd.delta_low, svd.p) == pytest.approx((compared.delta, compared.low, compared.p), rel=1e-9)
    assert (svd.against, svd.n, svd.seed, svd.group) == ("popularity", 115, 7, "all")
    assert made["popularity", "ndcg"].against is None
    assert (made["svd", LEFT_OUT].value, made["svd", LEFT_OUT].n) == (5, 120)


def test_holm_runs_within_the_family_only() -> None:
    one = from_users(per_user(), seed=7, baseline="popularity", family=["ndcg"], **LABELS)
    tested = {record.model: record for record in one if record.p is not None}
    assert {record.metric for record in tested.values()} == {"ndcg"}
    expected = statistics.holm([tested["svd"].p, tested["als"].p])
    assert [tested["svd"].p_holm, tested["als"].p_holm] == pytest.approx(expected.tolist(), rel=1e-9)
    recall = next(record for record in one if (record.model, record.metric) == ("svd", "recall"))
    assert recall.delta_low is not None  # an interval without a test
    both = from_users(per_user(), seed=7, baseline="popularity", **LABELS)
    widest = min(record.p_holm for record in both if record.p is not None)
    assert widest == pytest.approx(4 * min(record.p for record in both if record.p is not None), rel=1e-9)


def test_a_family_gathered_from_two_calls() -> None:
    parts = [from_users(per_user(seed), seed=7, baseline="popularity", group=f"g{seed}", **LABELS) for seed in (0, 1)]
    joined = (parts[0] + parts[1]).corrected()
    ps = [record.p for record in joined if record.p is not None]
    assert len(ps) == 8
    assert [record.p_holm for record in joined if record.p is not None] == pytest.approx(statistics.holm(ps).tolist())


def test_labels() -> None:
    assert Records([record()]).labelled(dataset="ml-1m")[0].dataset == "ml-1m"
    with pytest.raises(Problem, match="colour"):
        Records([record()]).labelled(colour="red")


def test_from_users_refusals() -> None:
    values = per_user()
    with pytest.raises(Problem, match="not among the models"):
        from_users(values, seed=0, baseline="pop", **LABELS)
    with pytest.raises(Problem, match="family"):
        from_users(values, seed=0, baseline="popularity", family=["map"], **LABELS)
    with pytest.raises(Problem, match="same models"):
        from_users({**values, "recall": {"svd": values["ndcg"]["svd"]}}, seed=0, **LABELS)
    with pytest.raises(Problem, match="at least one metric"):
        from_users({}, seed=0, **LABELS)
    with pytest.raises(Problem, match="Record objects"):
        Records([{"value": 1}])


def test_one_user_gets_a_value_without_an_interval() -> None:
    made = from_users({"ndcg": {"a": np.array([0.5]), "b": np.array([0.25])}}, seed=0, baseline="b", **LABELS)
    assert (made[0].low, made[0].delta_low, made[0].delta, made[0].p) == (None, None, 0.25, 1.0)
