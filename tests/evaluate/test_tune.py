"""Searches with planted optima; one is killed and resumed."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from recutils.data import split
from recutils.evaluate.spaces import SPACES, spaces
from recutils.evaluate.task import task
from recutils.evaluate.tune import Range, Search, Space, search, told
from recutils.model.ease import EASE
from recutils.tables import Interactions, Problem

RANGES = {"x": Range(0.01, 100.0, log=True), "n": Range(1, 9), "kind": Range(choices=("a", "b"))}
DEFAULT = {"x": 50.0, "n": 2, "kind": "a"}


def hill(setting: dict) -> np.ndarray:
    """Highest at x = 1, n = 7, kind b; three users of unlike height."""
    height = -(np.log10(setting["x"]) ** 2) - (setting["n"] - 7) ** 2 / 10 + (setting["kind"] == "b")
    return height + np.array([-1.0, 0.0, 1.0])


def run(folder: Path, trials: int = 20, **options: object) -> Search:
    return search(hill, RANGES, DEFAULT, folder, name="hill", trials=trials, **{"seed": 3, **options})


def test_the_default_comes_first_and_the_search_climbs(tmp_path: Path) -> None:
    found = run(tmp_path, 40)
    assert found.settings[0] == DEFAULT
    assert found.means[0] == pytest.approx(hill(DEFAULT).mean())
    assert found.means[found.best] > 0.7 > 0 > found.means[0], "the top is 1"
    assert found.setting["kind"] == "b" and (np.diff(found.so_far()) >= 0).all()
    assert found.values.shape == (40, 3)
    np.testing.assert_allclose(found.values[5], hill(found.settings[5]))
    assert found.table().columns.tolist() == ["trial", "x", "n", "kind", "value"]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_in_two_pieces_equals_one_in_one(tmp_path: Path, sampler: str) -> None:
    whole = run(tmp_path / "whole", sampler=sampler)
    run(tmp_path / "pieces", 6, sampler=sampler)
    calls = []
    search(
        lambda setting: calls.append(setting) or hill(setting),
        RANGES, DEFAULT, tmp_path / "pieces", name="hill", trials=13, seed=3, sampler=sampler,
    )  # fmt: skip
    assert len(calls) == 7, "six trials are in the file"
    pieces = run(tmp_path / "pieces", sampler=sampler)
    assert pieces.settings == whole.settings and np.array_equal(pieces.values, whole.values)
    other = run(tmp_path / "whole", sampler=sampler, seed=4)
    assert other.path != whole.path and other.settings != whole.settings


KILLED = """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from test_tune import DEFAULT, RANGES, hill
    from recutils.evaluate.tune import search
    calls = []
    def dies(setting):
        calls.append(setting)
        if len(calls) == 12:
            os.kill(os.getpid(), signal.SIGKILL)
        return hill(setting)
    search(dies, RANGES, DEFAULT, Path(sys.argv[2]), name="hill", trials=20, seed=3)
"""


def test_a_killed_search_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(Path(__file__).parent), str(tmp_path / "killed")]
    assert subprocess.run(command, check=False).returncode == -9
    (journal,) = (tmp_path / "killed").glob("*.jsonl")
    with journal.open("ab") as stream:
        stream.write(b'{"op_code": 5, "wor')  # the line that a kill tore
    resumed, whole = run(tmp_path / "killed"), run(tmp_path / "whole")
    assert resumed.path == journal
    assert resumed.settings == whole.settings and np.array_equal(resumed.values, whole.values)
    for line in journal.read_text(encoding="utf-8").splitlines():
        json.loads(line)


def test_a_failing_setting_takes_its_place_in_the_budget(tmp_path: Path) -> None:
    def half(setting: dict) -> np.ndarray:
        if setting["kind"] == "b":
            raise Problem("b does not suit")
        return hill(setting)

    found = search(half, RANGES, DEFAULT, tmp_path, name="half", trials=12, seed=1)
    assert found.failed and set(found.failed.values()) == {"b does not suit"}
    assert len(found.settings) == 12 and found.setting["kind"] == "a"
    assert np.isnan(found.values[list(found.failed)]).all() and found.table().value.isna().sum() == len(found.failed)
    with pytest.raises(Problem, match="all 2 settings failed"):
        search(lambda _: 1 / 0, RANGES, DEFAULT, tmp_path, name="none", trials=2, seed=1)


def test_importance_finds_what_matters(tmp_path: Path) -> None:
    def only_n(setting: dict) -> np.ndarray:
        return np.array([float(setting["n"])])

    found = search(only_n, RANGES, DEFAULT, tmp_path, name="n", trials=30, seed=1, sampler="random")
    shares = found.importance(seed=0)
    assert shares["n"] > 0.9 and shares == found.importance(seed=0)
    assert sum(shares.values()) == pytest.approx(1)


def test_tensorboard_can_read_a_search(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = run(tmp_path, 5)
    reader = EventAccumulator(str(found.board(tmp_path / "board")))
    reader.Reload()
    values = [event.value for event in reader.Scalars("search/best so far")]
    np.testing.assert_allclose(values, found.so_far(), rtol=1e-6)


def test_a_model_is_searched_on_validation_only(ratings: Interactions, tmp_path: Path) -> None:
    parts = split.temporal(ratings)
    space = Space(EASE, {"reg": Range(1.0, 1000.0, log=True)}, {})
    rules = task(parts, "planted", 5)
    found = search(
        space.on_validation(parts.train, rules), space.ranges, space.default(), tmp_path,
        name="ease", trials=3, seed=0, about=told(space, parts.train, rules),
    )  # fmt: skip
    judged = rules.judge({"ease": EASE().fit(parts.train)}, seed=0, baseline=None)
    np.testing.assert_allclose(found.values[0], judged.values["ndcg"]["ease"])
    with pytest.raises(Problem, match="searched on the part 'valid'"):
        space.on_validation(parts.train, task(parts, "planted", 5, part="test"))
    again = told(space, parts.train.only(np.arange(len(parts.train) - 1)), rules)
    assert again != told(space, parts.train, rules), "other data are another question"


def test_misuse_is_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="trials must be at least 1"):
        run(tmp_path, 0)
    with pytest.raises(Problem, match="sampler one of"):
        run(tmp_path, sampler="grid")
    with pytest.raises(Problem, match="default n = 10 lies outside"):
        search(hill, RANGES, DEFAULT | {"n": 10}, tmp_path, name="hill", trials=2, seed=0)
    with pytest.raises(Problem, match="low <= high"):
        Range(2, 1).distribution()
    with pytest.raises(Problem, match="same parameters"):
        search(hill, RANGES, {"x": 1.0}, tmp_path, name="hill", trials=2, seed=0)


def test_every_space_holds_its_default_and_builds_its_model(ratings: Interactions) -> None:
    for name, space in SPACES.items():
        default = space.default()
        assert set(default) == set(space.ranges), name
        space.model(default).fit(ratings)
        for allowed in space.ranges.values():
            allowed.distribution()
    without = Interactions(ratings.rows.drop(columns="time"), ratings.n_users, ratings.n_items)
    assert set(SPACES) - set(spaces(without)) == {"recent popularity"}
