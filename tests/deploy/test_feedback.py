"""No acknowledged event is lost or doubled, whatever happens to the writer."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recutils.deploy.feedback import FeedbackLog, read
from recutils.tables import Problem


def event(number: int) -> dict:
    return {"id": f"e{number}", "user": "ü", "item": "i1", "kind": "click", "time": "2000-01-01T00:00:00Z"}


def ids(folder: Path) -> list[str]:
    return [one["id"] for one in read(folder)]


def test_events_are_read_back_in_order_and_repeats_are_not_written_twice(tmp_path: Path) -> None:
    log = FeedbackLog(tmp_path)
    assert log.append([event(1), event(2), event(1)]) == 2
    assert log.append([event(2), event(3)]) == 1
    log.close()
    again = FeedbackLog(tmp_path)
    assert again.append([event(3)]) == 0
    again.close()
    assert list(read(tmp_path)) == [event(1), event(2), event(3)]


def test_a_line_that_was_being_written_is_no_event(tmp_path: Path) -> None:
    log = FeedbackLog(tmp_path)
    log.append([event(1)])
    log.close()
    path = next(tmp_path.glob("events-*.jsonl"))
    path.write_bytes(path.read_bytes() + b'{"id": "e2", "us')
    assert ids(tmp_path) == ["e1"]
    again = FeedbackLog(tmp_path)
    again.append([event(2)])
    again.close()
    assert ids(tmp_path) == ["e1", "e2"]


def test_files_rotate_and_ids_stay_known(tmp_path: Path) -> None:
    log = FeedbackLog(tmp_path, rotate=300)
    for number in range(20):
        log.append([event(number)])
    assert len(log.files()) > 3 and all(path.stat().st_size <= 300 for path in log.files())
    assert log.append([event(0)]) == 0
    log.close()
    assert ids(tmp_path) == [f"e{number}" for number in range(20)]


def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    first = FeedbackLog(tmp_path)
    with pytest.raises(Problem, match="another service"):
        FeedbackLog(tmp_path)
    first.close()
    FeedbackLog(tmp_path).close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the full device")
def test_a_full_disk_loses_nothing_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = FeedbackLog(tmp_path)
    log.append([event(1)])

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Problem, match="No space left on device"):
            log.append([event(2)])
    assert log.append([event(2)]) == 1
    log.close()
    assert ids(tmp_path) == ["e1", "e2"]


def test_a_line_that_is_no_event_is_named(tmp_path: Path) -> None:
    (tmp_path / "events-000001.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(Problem, match="line 1"):
        list(read(tmp_path))


WRITER = """
import sys
from pathlib import Path
from recutils.deploy.feedback import FeedbackLog
log, number = FeedbackLog(Path(sys.argv[1]), rotate=2000), int(sys.argv[2])
while True:
    batch = [{"id": f"e{number + i}", "user": "u", "item": "i", "kind": "click", "time": "t"} for i in range(3)]
    log.append(batch)
    number += 3
    print(number, flush=True)
"""


def killed(folder: Path, first: int, seconds: float) -> int:
    """The number that a writer, killed after so many seconds, acknowledged last."""
    command = [sys.executable, "-S", "-c", WRITER, str(folder), str(first)]
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path[1:]])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        last = int(process.stdout.readline())
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().decode().split("\n")
        return max([last, *(int(line) for line in rest[:-1])])


@pytest.mark.slow
def test_a_writer_killed_at_random_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The claim for 300 moments is measured in 72_deploy_monitor; here are five."""
    rng, sent = np.random.default_rng(0), 0
    for _ in range(5):
        acknowledged = killed(tmp_path, sent, rng.uniform(0, 0.05))
        found = ids(tmp_path)
        assert len(found) == len(set(found))
        assert {f"e{number}" for number in range(acknowledged)} <= set(found)
        sent = acknowledged + 1000
        sent = max(sent, 1 + max(int(one[1:]) for one in found))
        acknowledged = sent
        log = FeedbackLog(tmp_path)
        log.append([event(number) for number in range(sent)])  # a caller who repeats everything
        log.close()
        assert sorted(ids(tmp_path)) == sorted(f"e{number}" for number in range(sent))
