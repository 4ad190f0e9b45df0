"""A real writer process is killed; the three hundred moments of the claim are measured in 72_deploy_monitor."""

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
    found = kills.kill(tmp_path, 5, seed=3, writer="sloppy")
    assert (found.lost > 0).any()
    table = kills.kill_table({"sloppy": found})
    assert table["events lost after"].item() == (found.lost > 0).sum() and table.kills.item() == 5


def test_an_unknown_writer_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="log, sloppy"):
        kills.kill(tmp_path, 1, seed=0, writer="tidy")
