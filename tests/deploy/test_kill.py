"""A real writer process is killed; the three hundred moments of the claim are measured in 72_deploy_monitor."""

import json
from pathlib import Path

import pytest

from recutils.deploy import kills
from recutils.tables import Problem


def test_no_acknowledged_event_is_lost_or_doubled(tmp_path: Path) -> None:
    found = kills.kill(tmp_path, 10, seed=3)
    assert len(found) == 10 and not found[["lost", "doubled"]].to_numpy().any()
    assert found.acknowledged.iloc[-1] > 0 and found.acknowledged.is_monotonic_increasing
    assert kills.repeated(tmp_path, found) == found.log.nunique() == 1


def test_the_check_can_fail(tmp_path: Path) -> None:
    lines = [json.dumps(kills.event(number)) for number in (0, 1, 1, 4, 7)]
    (tmp_path / "events-000001.jsonl").write_text("\n".join([*lines, '{"id": "e2", "us']))
    found = kills.counted(tmp_path, 5)
    assert found == {"acknowledged": 5, "kept": 4, "torn": 1, "lost": 2, "doubled": 1, "unanswered": 1}


def test_a_careless_writer_is_found_out(tmp_path: Path) -> None:
    found = kills.kill(tmp_path, 6, seed=3, writer="sloppy")
    assert found[["lost", "doubled"]].to_numpy().any()
    table = kills.kill_table({"sloppy": found})
    assert table["events lost after"].item() == (found.lost > 0).sum() and table.kills.item() == 6


def test_an_unknown_writer_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="log, sloppy"):
        kills.kill(tmp_path, 1, seed=0, writer="tidy")
