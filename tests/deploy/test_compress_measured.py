"""What is measured of small encoders: turns, memory, stored vectors, and bounds on what a ranking loses."""

import numpy as np
import pandas as pd
import pytest

from recutils.deploy import exported, footprint, pareto, timing, vectors
from recutils.deploy import trial as trials
from recutils.deploy.compress import compact_of, with_layers
from recutils.tables import Interactions, Problem
from recutils.tune.states import Base

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] good fine bad poor dress shirt".split()


def test_calls_take_turns_and_none_always_follows_the_same() -> None:
    heard: list[str] = []
    calls = {name: (lambda name=name: heard.append(name)) for name in "abc"}
    found = timing.in_turn(calls, 3)
    assert found.shape == (3, 3) and (found >= 0).all().all()
    assert ["".join(heard[n : n + 3]) for n in range(0, 12, 3)] == ["abc", "bca", "cab", "abc"]
    with pytest.raises(Problem, match="at least one"):
        timing.in_turn({}, 1)


def test_ratios_are_taken_within_a_round() -> None:
    speeds = pd.DataFrame({"slow": [1.0, 10.0, 100.0], "fast": [3.0, 30.0, 300.0]})
    assert footprint.faster(speeds, "fast", "slow") == pytest.approx((3, 3, 3))


def test_costs_of_a_small_encoder(tiny_bert, tmp_path) -> None:
    whole = compact_of(*Base(str(tiny_bert(WORDS, 2)), frozen=0, max_tokens=16).load(), max_tokens=16)
    found = footprint.costs({"whole": whole, "half": with_layers(whole, [0])}, ["good dress"] * 8, tmp_path, rounds=1)
    size = found.set_index("encoder").weights_mb
    assert size["whole"] > size["half"] > 0.001
    assert (found.folder_mb > found.weights_mb).all() and (found.memory_mb >= 0).all()
    with pytest.raises(Problem, match="could not be measured|measuring memory failed"):
        footprint.memory([tmp_path / "nothing"], ["good"])


def test_stored_vectors_and_their_bytes() -> None:
    rng = np.random.default_rng(0)
    typical = rng.normal(size=(16, 8))
    given = np.concatenate([typical[rng.integers(0, 16, 200)], rng.normal(size=(0, 8))]).astype(np.float32)
    found = vectors.stored_ways(given, (2,), bits=4)
    assert [size for _, size in found.values()] == [200 * 32, 200 * 16, 200 * 12, 200 + 4 * 8 * 16]
    unit = given / np.linalg.norm(given, axis=1, keepdims=True)
    read = found["product, 2 pieces"][0]
    assert (read * unit).sum(1).mean() > 0.9
    with pytest.raises(Problem, match="divide"):
        vectors.quantised(given, 3)
    with pytest.raises(Problem, match="Lower bits"):
        vectors.quantised(given[:5], 2)


def test_neighbours_are_all_kept_by_exact_vectors_and_lost_by_chance() -> None:
    rng = np.random.default_rng(1)
    given = rng.normal(size=(80, 12)).astype(np.float32)
    assert vectors.kept_neighbours(given, given, 5).tolist() == [1.0] * 80
    assert vectors.kept_neighbours(2 * given, given, 5).mean() == 1.0
    assert vectors.kept_neighbours(rng.normal(size=(80, 12)), given, 5).mean() < 0.2


def _pairs(n_users: int = 60, n_items: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    user, item = np.divmod(np.arange(n_users * n_items), n_items)
    value = rng.random(len(user))
    return pd.DataFrame({"user": user, "item": item, "weight": 1 / n_items, "whole": value, "most": 0.9 * value})


def test_a_planted_loss_is_found_with_its_bounds() -> None:
    found = trials.relative_loss(_pairs(), "most", "whole", 0, draws=200, family=4)
    assert found.share == pytest.approx(0.1) and found.low == pytest.approx(0.1) and found.upper == pytest.approx(0.1)
    assert (found.verdict(0.2), found.verdict(0.05), found.n) == ("no worse", "worse", 60)
    noisy = _pairs()
    noisy["most"] = noisy["whole"] * np.random.default_rng(3).choice([0.0, 2.0], len(noisy))
    wide = trials.relative_loss(noisy, "most", "whole", 0, draws=200, family=4)
    assert wide.low < wide.share < wide.upper < wide.upper_all
    assert trials.relative_loss(noisy, "most", "whole", 0, draws=200, family=4) == wide
    with pytest.raises(Problem, match="finds nothing"):
        trials.relative_loss(noisy.assign(whole=0.0), "most", "whole", 0, draws=10)


def test_a_claim_is_reached_by_the_bound_and_the_speed_together() -> None:
    lost = {
        "fine": trials.Loss(-0.00001, -0.01, 0.01, 0.009, 0.012, 9),  # fast, and no worse
        "slow": trials.Loss(0.0, -0.01, 0.01, 0.009, 0.012, 9),
        "open": trials.Loss(0.02, -0.01, 0.05, 0.045, 0.06, 9),
        "bad": trials.Loss(0.05, 0.04, 0.06, 0.058, 0.07, 9),
    }
    times = {"fine": 2.0, "slow": 1.9, "open": 8.0, "bad": 8.0}
    speed = pd.DataFrame({"times": times, "times_low": 1.0, "times_high": 9.0})
    at_most, wanted = dict.fromkeys([*lost, "absent"], 0.01), dict.fromkeys([*lost, "absent"], 2)
    found = trials.claims(lost, speed, at_most, wanted).set_index("encoder")
    assert found["ranking"].to_dict() == {"fine": "no worse", "slow": "no worse", "open": "undecided", "bad": "worse"}
    assert found["goal"].to_dict() == {"fine": "reached", "slow": "missed", "open": "missed", "bad": "missed"}
    assert found.loc["bad", ["lost, %", "bound, %", "bound for all, %", "margin, %"]].tolist() == [5.0, 5.8, 7.0, 1.0]
    words = trials.told(found.reset_index()).split("; ")
    assert words[0] == "fine: no worse at 1 %, 2.0 times as fast (reached)" and len(words) == 4
    assert f"{found['lost, %']['fine']:.2f}" == "0.00"  # never -0.00


def test_nobody_judges_what_taught_and_informed_vectors_win() -> None:
    rng = np.random.default_rng(0)
    user, item = np.divmod(np.arange(80 * 60), 60)
    met = rng.random(len(user)) < np.where(user % 2 == item % 2, 0.5, 0.05)
    ratings = Interactions(pd.DataFrame({"user": user, "item": item, "value": 1.0})[met], 80, 60)
    made = trials.trial(ratings, 3, factors=4, penalty=0.3, seed=0)
    for half, (teaching, judging) in trials.HALVES.items():
        taught = set(made.taught[half][0])
        assert taught == {item for fold in teaching for item in made.folds[fold]}
        assert not taught & set(made.unseen(half)) and not set(made.unseen(half)) & set(made.folds[trials.CHOICE])
        for fold, task in zip(judging, made.judged[half], strict=True):
            assert set(task.task.items) == set(made.folds[fold]) and not task.rated[made.folds[fold]].any()
    tastes = np.eye(2, dtype=np.float32)[np.arange(ratings.n_items) % 2]
    noise = np.random.default_rng(0).normal(size=(ratings.n_items, 8)).astype(np.float32)
    lists = {
        name: made.lists(dict.fromkeys(trials.HALVES, rows)) for name, rows in (("tastes", tastes), ("noise", noise))
    }
    table = made.table(lists)
    means = {name: np.average(table[name], weights=table["weight"]) for name in ("tastes", "noise", "random")}
    assert means["tastes"] > 1.1 * max(means["noise"], means["random"])
    assert made.choice("A", tastes) > made.choice("A", noise)


def test_the_front_holds_whom_nobody_beats_in_both() -> None:
    def loss(share: float) -> trials.Loss:
        return trials.Loss(share, share, share, share, share, 9)

    gains = {"slow, good": 1.0, "fast, bad": 9.0, "slow, bad": 1.0, "twin": 1.0, "between": 5.0}
    lost = {"slow, good": 0.0, "fast, bad": 0.2, "slow, bad": 0.2, "twin": 0.0, "between": 0.1}
    found = pareto.front(gains, {name: loss(share) for name, share in lost.items()})
    assert found == ["slow, good", "fast, bad", "twin", "between"]


def test_the_picture_names_every_encoder() -> None:
    from recutils import present

    costs = pd.DataFrame({"encoder": ["whole", "half"], "times": [1.0, 2.0], "weights_mb": [90.0, 45.0]})
    fig, axes = present.figure(2)
    pareto.draw(axes, costs, {name: trials.Loss(0.0, -0.1, 0.1, 0.1, 0.1, 5) for name in costs.encoder})
    present.check_figure(fig, "a title of four words")
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["whole", "half"]


def test_without_the_extra_a_sentence_names_the_cure(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(exported, "NEEDED", ("no_such_package",))
    assert "make extra-onnx" in exported.told(None, [], [], tmp_path, 1)
    with pytest.raises(Problem, match="make extra-onnx"):
        exported.in_onnx(None, tmp_path)
