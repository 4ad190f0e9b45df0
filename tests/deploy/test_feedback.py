"""No acknowledged event is lost or doubled, whatever happens to the writer."""

import datetime
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recutils.deploy.feedback import FeedbackLog, read, stamped
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


def test_fsync_comes_before_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 cannot tell, since the system's memory survives it."""
    log, done, real = FeedbackLog(tmp_path), [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: (done.append(next(tmp_path.glob("events*")).stat().st_size), real(handle))
    )
    log.append([event(1)])
    assert done == [next(tmp_path.glob("events*")).stat().st_size] and done[0] > 0
    log.close()


def test_a_full_disk_while_files_change_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = FeedbackLog(tmp_path, rotate=100)
    log.append([event(1)])
    real = Path.open

    def full(path: Path, *rest: object, **more: object) -> object:
        if path.name == "events-000002.jsonl":
            raise OSError(28, "No space left on device")
        return real(path, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(Problem, match="No space left"):
            log.append([event(2)])
    assert log.append([event(2)]) == 1 and len(log.files()) == 2
    log.close()
    assert ids(tmp_path) == ["e1", "e2"]


LIMITED = """
import resource, sys
from pathlib import Path
from recutils.deploy.feedback import FeedbackLog, read, stamped
from recutils.tables import Problem
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
folder = Path(sys.argv[1])
log, kept, told = FeedbackLog(folder, rotate=10**6), [], 0
for number in range(200):
    batch = [{"id": f"e{number}-{i}", "user": "u" * 40, "item": "i", "kind": "click", "time": "t"} for i in range(3)]
    try:
        log.append(batch)
        kept += [one["id"] for one in batch]
    except Problem:
        told += 1
assert told > 100 and kept and [one["id"] for one in read(folder)] == kept, (told, len(kept))
content = next(folder.glob("events-*")).read_bytes()
assert content.endswith(bytes([10])) and len(content) <= 5000, "a line was left half written"
"""


def test_a_system_that_refuses_more_bytes_leaves_no_half_line(tmp_path: Path) -> None:
    """A real limit of the system: the write that crosses it is cut short in the middle of a line."""
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path[1:]])}
    done = subprocess.run([sys.executable, "-S", "-c", LIMITED, str(tmp_path)], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-500:]


def test_clocks_ahead_are_counted_and_a_broken_one_refused() -> None:
    now = datetime.datetime(2000, 1, 2, tzinfo=datetime.UTC)
    early, fair, ahead, broken = (
        event(number) | {"time": (now + datetime.timedelta(seconds=seconds)).isoformat()}
        for number, seconds in enumerate((-1e8, 30, 3600, 90_000))
    )
    rows, n_skewed = stamped([early, fair, ahead], now)
    assert n_skewed == 1 and {row["received"] for row in rows} == {now.isoformat()} and rows[0]["time"] == early["time"]
    with pytest.raises(Problem, match="25 hours in the future"):
        stamped([early, broken], now)
    with pytest.raises(Problem, match="zone"):
        stamped([event(1) | {"time": "2000-01-01T00:00:00"}], now)


def test_the_stamp_is_read_back(tmp_path: Path) -> None:
    log = FeedbackLog(tmp_path)
    log.append([event(1) | {"received": "2000-01-01T00:00:00+00:00"}, event(2)])
    log.close()
    assert ["received" in one for one in read(tmp_path)] == [True, False]
