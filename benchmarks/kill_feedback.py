"""kill -9 at random moments while feedback is written: python benchmarks/kill_feedback.py [MOMENTS] [SEED]."""

import sys
import tempfile
from pathlib import Path

from recutils.deploy import kills


def main(n: int = 300, seed: int = 7) -> int:
    """Print what was found for the log and for a careless writer; 0 where the log lost and doubled nothing."""
    with tempfile.TemporaryDirectory() as folder:
        found = {kind: kills.kill(Path(folder, kind), n, seed=seed, writer=kind) for kind in kills.WRITERS}
        logs = found["log"].log.nunique()
        exact = kills.repeated(Path(folder, "log"), found["log"])
    for kind, rows in found.items():
        events = rows.groupby("log").acknowledged.max().sum()
        lost, doubled, torn = ((rows[name] > 0).sum() for name in ("lost", "doubled", "torn"))
        print(f"{kind}: {n} kills, {events:,} events acknowledged")
        print(f"{kind}: events were lost after {lost} kills, doubled after {doubled}")
        print(f"{kind}: an unfinished line was found after {torn} kills")
    print(f"after a client repeated everything each event is there once in {exact} of {logs} logs")
    return int(exact < logs or found["log"][["lost", "doubled"]].to_numpy().any())


if __name__ == "__main__":
    sys.exit(main(*(int(text) for text in sys.argv[1:3])))
