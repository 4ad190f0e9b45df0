"""Own data in, lists and a verdict out: planted tastes, planted popularity, odd data, faults, a real sample."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recutils import runs
from recutils.__main__ import main
from recutils.data.faults import NotReached
from recutils.data.load import load
from recutils.data.split import house
from recutils.deploy import lists, recommend
from recutils.deploy.cli import Line
from recutils.deploy.verdict import Figure, Part, decide
from recutils.evaluate import candidates, choose
from recutils.evaluate.candidates import CONTENT, Candidate, each
from recutils.evaluate.task import task
from recutils.model.als import ALS
from recutils.model.baselines import Popularity, Random, RecentPopularity
from recutils.model.ease import EASE
from recutils.model.neighbours import ItemNeighbours
from recutils.model.svd import SVD
from recutils.tables import Interactions

FEW = (
    Candidate("random", Random),
    Candidate("popularity", Popularity),
    Candidate("recent popularity", RecentPopularity, each(half_life=(30.0, 7.0)), "time"),
    CONTENT,
    Candidate("item neighbours", ItemNeighbours, each(neighbours=(20,), values=("binary", "value"))),
    Candidate("als", ALS, each(factors=(8,), iterations=(5,))),
    Candidate("ease", EASE, each(reg=(100.0,))),
    Candidate("svd", SVD, each(factors=(5,), epochs=(5,)), "ratings"),
)
FILES = ["recs.csv", "recs.verdict.json", "recs.verdict.md"]
N_GROUPS, N_ITEMS = 3, 60


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own and a short menu, so that a comparison takes a moment."""
    monkeypatch.setattr(runs, "DATA", tmp_path / "cache")
    monkeypatch.setattr(candidates, "CANDIDATES", FEW)
    return tmp_path


def tastes(n_users: int = 150, each_has: int = 12) -> pd.DataFrame:
    """Users u0.. of three groups; each meets items of its own group alone, in random order of time."""
    rng = np.random.default_rng(0)
    own = [rng.choice(N_ITEMS // N_GROUPS, each_has, replace=False) * N_GROUPS + u % N_GROUPS for u in range(n_users)]
    users = np.repeat(np.arange(n_users), each_has)
    rows = pd.DataFrame(
        {"user_id": [f"u{user}" for user in users], "item_id": [f"i{item}" for item in np.concatenate(own)]}
    )
    rows["value"] = rng.integers(1, 6, len(rows))
    rows = rows.sample(frac=1, random_state=0, ignore_index=True)
    return rows.assign(time=1_000_000_000 + 3600 * np.arange(len(rows)))


def crowd(n_users: int = 300) -> pd.DataFrame:
    """Everybody draws from one popularity: nothing personal, no times, no values."""
    rng = np.random.default_rng(0)
    weight = 0.85 ** np.arange(N_ITEMS)
    own = [rng.choice(N_ITEMS, 8, replace=False, p=weight / weight.sum()) for _ in range(n_users)]
    users = np.repeat(np.arange(n_users), 8)
    return pd.DataFrame(
        {"user_id": [f"u{user}" for user in users], "item_id": [f"i{item}" for item in np.concatenate(own)]}
    )


def shop(place: Path, events: pd.DataFrame, *, titles: bool = True, users: list[str] | None = None) -> Path:
    folder = place / "shop"
    folder.mkdir()
    events.to_csv(folder / "interactions.csv", index=False)
    if titles:
        kinds = ["Tea, green", "Bolt", 'Rope "thick"']
        items = pd.DataFrame({"item_id": [f"i{item}" for item in range(N_ITEMS)]})
        items.assign(title=[f"{kinds[i % 3]} {i}" for i in range(N_ITEMS)]).to_csv(folder / "items.csv", index=False)
    if users:
        pd.DataFrame({"user_id": users}).to_csv(folder / "users.csv", index=False)
    return folder


def run(
    place: Path, *options: str, folder: Path | None = None, out: str = "recs.csv"
) -> tuple[int, pd.DataFrame, dict]:
    """Exit code, the lists and the verdict."""
    code = main(["recommend", "--data", str(folder or place / "shop"), "--out", str(place / out), *options])
    if code:
        return code, pd.DataFrame(), {}
    verdict = (place / out).with_name(f"{Path(out).stem}.verdict.json")
    return code, pd.read_csv(place / out), json.loads(verdict.read_text())


def refused(place: Path, capsys: pytest.CaptureFixture, *options: str, **named: object) -> str:
    """The message of a command that must end with code 2 and leave nothing behind."""
    before = sorted(path.name for path in place.iterdir() if path.name != "cache")
    assert run(place, *options, **named)[0] == 2
    assert sorted(path.name for path in place.iterdir() if path.name != "cache") == before
    return capsys.readouterr().err


def test_a_personal_model_wins_on_planted_tastes(place: Path, capsys: pytest.CaptureFixture) -> None:
    events = tastes()
    shop(place, events)
    code, recs, verdict = run(place)
    said = capsys.readouterr()
    assert code == 0 and said.err == ""
    assert verdict["model"] in ("content tfidf", "item neighbours", "als", "ease")
    assert "lies above 0" in verdict["why"] and verdict["why"] in said.out
    assert list(recs.columns) == list(lists.COLUMNS)
    group = recs.item_id.str[1:].astype(int) % N_GROUPS
    at_first = recs["rank"] <= 8  # each user has 8 unseen items of his group
    assert (group[at_first] == recs.user_id.str[1:].astype(int)[at_first] % N_GROUPS).mean() > 0.97
    assert not recs.merge(events, on=["user_id", "item_id"]).shape[0]  # nothing seen is shown
    assert recs.groupby("user_id")["rank"].apply(list).map(lambda ranks: ranks == list(range(1, 11))).all()
    assert recs.groupby("user_id")["score"].apply(lambda scores: (np.diff(scores) <= 0).all()).all()
    assert verdict["lists"] == {"users": 150, "rows": 1500, "users_without_history": 0, "lists_shorter_than_k": 0}
    assert recs.title[0].split()[-1] == recs.item_id[0][1:]


def test_the_verdict_tells_what_was_measured(place: Path) -> None:
    shop(place, tastes())
    _, _, verdict = run(place)
    assert sorted(path.name for path in place.glob("recs*")) == FILES
    valid = {figure["model"]: figure for figure in verdict["valid"]["figures"]}
    assert set(valid) == {"random", "popularity", "recent popularity", "content tfidf", *(one.name for one in FEW[4:])}
    best = max(valid.values(), key=lambda figure: figure["value"])
    assert best["model"] == verdict["model"] and best["delta_low"] > 0 and best["p_holm"] < 0.05
    assert {figure["model"] for figure in verdict["test"]["figures"]} == {"popularity", verdict["model"]}
    assert verdict["valid"]["split"] == "temporal"
    assert set(verdict["cost"]) == {*valid, "everything"}
    text = (place / "recs.verdict.md").read_text()
    for part in ("Rule:", "## On the validation part", "## On the test part", "## Uncertain", "| popularity"):
        assert part in text


def test_popularity_wins_where_nothing_is_personal(place: Path, capsys: pytest.CaptureFixture) -> None:
    shop(place, crowd(), titles=False)
    _, recs, verdict = run(place)
    assert verdict["model"] == "popularity"
    assert "simpler" in verdict["why"] or "No model has a higher mean" in verdict["why"]
    assert verdict["valid"]["split"] == "random_users"
    assert "times" in verdict["left_out"]["recent popularity"]
    assert "events" in verdict["left_out"]["svd"] and "content" in verdict["left_out"]
    assert any("no texts of their own" in note for note in verdict["notes"])
    counts = crowd().item_id.value_counts()
    assert (recs.score == recs.item_id.map(counts)).all()


def test_the_rule() -> None:
    def part(low: float, high: float) -> Part:
        base = Figure("popularity", {}, 0.1, 0.09, 0.11, None, None, None, None, None)
        other = Figure("als", {}, 0.12, 0.11, 0.13, 0.02, low, high, 0.01, 0.02)
        return Part("temporal", "", 500, (base, other))

    assert decide("als", part(0.001, 0.039))[0] == "als"
    assert decide("als", part(0.0, 0.04))[0] == "popularity"
    assert decide("als", part(-0.001, 0.041))[0] == "popularity"
    assert decide("popularity", part(0.001, 0.039), "als")[0] == "als"
    name, why = decide("als", part(-0.001, 0.041))
    assert "simpler" in why and "+0.020 [-0.001, 0.041]" in why


def test_two_runs_give_the_same_bytes(place: Path) -> None:
    shop(place, tastes())
    (_, _, first), (_, _, second) = run(place), run(place, out="again.csv")
    assert (place / "recs.csv").read_bytes() == (place / "again.csv").read_bytes()
    assert {**first, "cost": {}} == {**second, "cost": {}}


def test_the_newest_events_do_not_choose(place: Path) -> None:
    """Another test part, the same items and users: the validation figures stay to the last digit."""
    events = tastes()
    shop(place, events)
    _, _, first = run(place)
    changed = events.copy()
    newest = changed.index[-180:]
    changed.loc[newest, "value"] = 6 - changed.loc[newest, "value"]
    changed.to_csv(place / "shop" / "interactions.csv", index=False)
    _, _, second = run(place)
    assert first["valid"]["figures"] == second["valid"]["figures"]


def test_the_test_part_is_judged_with_all_that_came_before(place: Path) -> None:
    _, _, verdict = run(place, folder=shop(place, tastes()), out="recs.csv")
    split = house(load(place / "shop").interactions)
    before = pd.concat([split.train.rows, split.valid.rows])
    known = replace(split, train=Interactions(before, split.train.n_users, split.train.n_items))
    rules = task(known, "shop", 10, part="test")
    mean = rules.judge({"popularity": Popularity().fit(known.train)}, seed=7).find("popularity", "ndcg").value
    assert next(one for one in verdict["test"]["figures"] if one["model"] == "popularity")["value"] == mean
    assert verdict["test"]["users"] == len(rules.users)


def test_negative_values(place: Path) -> None:
    events = tastes()
    shop(place, events.assign(value=events.value - 2))
    code, _, verdict = run(place)
    assert code == 0
    assert "0 or more; got -1" in verdict["failed"]["als"]
    assert any("only values from 1 on count as relevant" in note for note in verdict["notes"])
    assert any("Ratings of at least 1 are relevant" in note for note in verdict["valid"]["notes"])


def test_a_named_model(place: Path, capsys: pytest.CaptureFixture) -> None:
    shop(place, tastes())
    _, recs, verdict = run(place, "--model", "Item-Neighbours", "--k", "3")
    assert verdict["model"] == verdict["asked"] == "item neighbours"
    assert [figure["model"] for figure in verdict["valid"]["figures"]] == ["popularity", "item neighbours"]
    assert "You asked for item neighbours" in verdict["why"]
    assert recs["rank"].max() == 3
    assert run(place, "--model", "popularity")[2]["model"] == "popularity"
    assert run(place, "--model", "content-tfidf")[2]["model"] == "content tfidf"
    assert "needs --text minilm" in refused(place, capsys, "--model", "content minilm")
    assert "--text none" in refused(place, capsys, "--model", "content tfidf", "--text", "none")


def test_a_named_model_that_does_not_suit(place: Path, capsys: pytest.CaptureFixture) -> None:
    shop(place, crowd(), titles=False)
    assert "these data have none" in refused(place, capsys, "--model", "recent popularity")
    assert "needs item texts" in refused(place, capsys, "--model", "content tfidf")


@pytest.mark.parametrize("model", ["auto", "svd"])
def test_users_without_history_get_popularity(place: Path, model: str) -> None:
    shop(place, tastes(), users=[f"u{user}" for user in range(150)] + ["new 1", "new 2"])
    _, recs, verdict = run(place, "--model", model)
    assert verdict["lists"]["users_without_history"] == 2
    counts = tastes().item_id.value_counts()
    new = recs[recs.user_id == "new 2"]
    assert new.score.tolist() == sorted(counts, reverse=True)[:10]
    assert (recs[recs.user_id == "new 1"].item_id.to_numpy() == new.item_id.to_numpy()).all()


def test_lists_of_some_users(place: Path, capsys: pytest.CaptureFixture) -> None:
    shop(place, tastes())
    (place / "who.txt").write_text("user_id\nu7\n\nu3\nu7\n")
    _, recs, _ = run(place, "--users", str(place / "who.txt"))
    assert recs.user_id.unique().tolist() == ["u7", "u3"]
    _, everybody, _ = run(place, out="all.csv")
    assert everybody[everybody.user_id == "u3"].item_id.tolist() == recs[recs.user_id == "u3"].item_id.tolist()
    (place / "wrong.txt").write_text("u7\nnobody\nno one\n")
    assert "2 of 3 ids are unknown: nobody, no one" in refused(place, capsys, "--users", str(place / "wrong.txt"))
    (place / "empty.txt").write_text("user_id\n")
    assert "holds no id" in refused(place, capsys, "--users", str(place / "empty.txt"))
    assert "cannot be read" in refused(place, capsys, "--users", str(place / "missing.txt"))


@pytest.mark.parametrize("n_users", [1, 12])
def test_too_little_data_fall_back_to_popularity(place: Path, n_users: int) -> None:
    shop(place, tastes(n_users))
    code, recs, verdict = run(place)
    assert code == 0 and recs.user_id.nunique() == n_users
    assert verdict["model"] == "popularity" and verdict["valid"] is None and verdict["test"] is None
    assert "too little data" in verdict["why"]
    assert any("a comparison needs 20" in fault for fault in verdict["uncertain"])
    asked = run(place, "--model", "item neighbours")[2]
    assert asked["model"] == "item neighbours" and "nothing was measured" in asked["why"]


def test_where_the_newest_users_are_all_new_the_split_is_random(place: Path) -> None:
    events = tastes()
    order = events.user_id.str[1:].astype(int).argsort(kind="stable")  # one user after the other
    shop(place, events.iloc[order].assign(time=1_000_000_000 + 60 * np.arange(len(events))))
    _, _, verdict = run(place)
    assert verdict["valid"]["split"] == "random_users"
    assert "The temporal split could not be used" in verdict["uncertain"][0]


def test_users_who_have_met_nearly_all(place: Path) -> None:
    events = pd.DataFrame(
        [(f"u{u}", f"i{i}") for u in range(30) for i in range(8) if (u + i) % 8], columns=["user_id", "item_id"]
    )
    shop(place, events, titles=False)
    _, recs, verdict = run(place, "--k", "8")
    assert len(recs) == 30 and verdict["lists"]["lists_shorter_than_k"] == 30


def test_wrong_arguments(place: Path, capsys: pytest.CaptureFixture) -> None:
    shop(place, tastes())
    assert "no folder" in refused(place, capsys, folder=place / "nowhere")
    assert "k must lie in 1..60" in refused(place, capsys, "--k", "61")
    assert "k must lie in 1..60" in refused(place, capsys, "--k", "0")
    assert "Did you mean popularity" in refused(place, capsys, "--model", "popularty")
    assert "cannot be written" in refused(place, capsys, out="missing/recs.csv")
    assert "cannot be written" in refused(place, capsys, out="shop/items.csv/recs.csv")
    assert "is a folder" in refused(place, capsys, out="shop")
    assert "own files" in refused(place, capsys, out="shop/interactions.csv")
    assert "seed" in refused(place, capsys, "--seed", "-1")
    with pytest.raises(SystemExit) as stopped:
        run(place, "--text", "bert")
    assert stopped.value.code == 2


def test_an_interrupted_run_leaves_the_old_lists(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop(place, tastes())
    run(place, "--model", "popularity")
    old = (place / "recs.csv").read_bytes()
    monkeypatch.setattr(lists, "BLOCK", 40)
    ranked, calls = lists.ranked, []

    def stopped(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return ranked(*arguments)

    monkeypatch.setattr(lists, "ranked", stopped)
    assert run(place, "--model", "ease")[0] == 130
    assert (place / "recs.csv").read_bytes() == old
    assert not list(place.glob(".*"))


def test_blocks_change_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop(place, tastes())
    run(place, "--model", "als")
    monkeypatch.setattr(lists, "BLOCK", 7)
    run(place, "--model", "als", out="blocks.csv")
    whole, blocks = (pd.read_csv(place / name) for name in ("recs.csv", "blocks.csv"))
    assert whole.score.to_numpy() == pytest.approx(blocks.score.to_numpy(), rel=1e-4, abs=1e-6)
    assert (whole.item_id == blocks.item_id).mean() > 0.99


def test_many_users_are_judged_by_a_sample(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommend, "MOST_JUDGED", 40)
    shop(place, tastes())
    _, _, verdict = run(place, "--model", "ease")
    assert verdict["valid"]["users"] == verdict["test"]["users"] == 40
    assert any("were drawn (seed 7)" in note for note in verdict["valid"]["notes"])


def test_a_budget_that_ends_early_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop(place, tastes())
    monkeypatch.setattr(choose._Clock, "over", property(lambda clock: clock.done >= 7))
    _, _, verdict = run(place, "--budget", "40")
    assert "budget of 40.0 seconds" in verdict["left_out"]["svd"]
    assert any("before all settings were tried: recent popularity (1 of 2)" in doubt for doubt in verdict["uncertain"])
    monkeypatch.setattr(choose._Clock, "over", True)
    assert run(place, "--model", "ease", "--budget", "40")[2]["model"] == "ease"


def test_the_line_is_for_terminals_only(capsys: pytest.CaptureFixture) -> None:
    class Terminal:
        text = ""

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None:
            """Nothing to do."""

    line = Line(Terminal())
    line.show("setting 1 of 2: als")
    line.show("lists")
    assert line.stream.text == "\rsetting 1 of 2: als\r" + "lists".ljust(19)
    line.clear()
    assert line.stream.text.endswith("\r     \r")


def test_a_real_sample(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "DATA", runs.ROOT / "data")
    try:
        dataset = load("ml-100k", sample_users=0.4)
    except NotReached as fault:
        pytest.skip(f"ml-100k is not at hand: {fault}")
    monkeypatch.setattr(runs, "DATA", place / "cache")
    folder, events = place / "movies", dataset.interactions
    folder.mkdir()
    named = {"user_id": dataset.user_ids.ids(events.user), "item_id": dataset.item_ids.ids(events.item)}
    rows = pd.DataFrame(named | {"value": events.value, "time": events.time})
    rows.to_csv(folder / "interactions.csv", index=False)
    dataset.items.to_csv(folder / "items.csv", index=False)
    code, recs, verdict = run(place, folder=folder)
    assert code == 0 and not verdict["failed"]
    assert len(recs) == 10 * len(dataset.users) and recs.title.notna().all()
    assert not recs.astype({"user_id": str, "item_id": str}).merge(rows, on=["user_id", "item_id"]).shape[0]
    figures = {figure["model"]: figure["value"] for figure in verdict["valid"]["figures"]}
    assert figures["popularity"] > 3 * figures["random"]
    assert figures["recent popularity"] > figures["random"] and figures["als"] > 3 * figures["random"]
