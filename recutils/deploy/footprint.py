"""What an encoder costs: bytes on disk, time of one text, texts a second, memory. It judges no vectors.

Times belong to one machine and one moment, so that all encoders are timed in turn, round by round, each round beginning
with another; medians and quartiles are over rounds.
`python -m recutils.deploy.footprint FOLDER ...`
tells memory (JSON).
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from recutils import runs
from recutils.deploy.process import fresh
from recutils.deploy.timing import in_turn
from recutils.tables import Problem
from recutils.tune.cost import folder_bytes

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from recutils.deploy.compact import Compact

BATCH = 32
LIMIT = 120  # seconds for the process that tells memory


def throughput(
    encoders: Mapping[str, "Compact"], texts: Sequence[str], rounds: int, batch: int = BATCH
) -> pd.DataFrame:
    """Texts a second, one column an encoder, one row a round: batches of `batch` texts of like length.

    Tokenising counts, and nothing is cached.
    """
    sized = sorted(texts, key=lambda text: (len(text), text))
    parts = [sized[start : start + batch] for start in range(0, len(sized), batch)]

    def call(encoder: "Compact") -> Callable[[], object]:
        return lambda: [encoder.forward(encoder.tokens(part)) for part in parts]

    return len(texts) / in_turn({name: call(one) for name, one in encoders.items()}, rounds)


def latencies(encoders: Mapping[str, "Compact"], texts: Sequence[str], rounds: int) -> pd.DataFrame:
    """Milliseconds of single texts, tokenising included: one column an encoder, one row a text and round."""

    def call(encoder: "Compact", text: str) -> Callable[[], object]:
        return lambda: encoder.forward(encoder.tokens([text]))

    each = [in_turn({name: call(one, text) for name, one in encoders.items()}, rounds) for text in texts]
    return 1000 * pd.concat(each, ignore_index=True)


def memory(folders: Sequence[Path], texts: Sequence[str]) -> list[float]:
    """MB (10^6 bytes) by which a fresh process grows while it opens one encoder and reads these texts, for each folder.

    One process imports all that is needed and computes nothing; a copy of it (fork) opens each encoder. The growth is
    from then to the peak, as the system counts resident memory. Raises Problem when that fails or takes LIMIT seconds.
    """
    absent = [folder for folder in folders if not (folder / "compact.json").is_file()]
    if absent:
        raise Problem(f"the memory of {absent[0]} could not be measured: no encoder is saved there.")
    module, names = "recutils.deploy.footprint", [str(folder) for folder in folders]
    told = fresh(module, *names, given=json.dumps(list(texts)), seconds=LIMIT, what="measuring memory")
    return [float(value) for value in json.loads(told.splitlines()[-1])]


def _grown_each(folders: Sequence[str], texts: Sequence[str]) -> list[float]:
    """The child's side of `memory`; it is called in a process that has computed nothing yet."""
    import transformers.models.bert.modeling_bert  # noqa: F401 - imports do not count

    if any('"int8 torchao"' in (Path(folder) / "compact.json").read_text(encoding="utf-8") for folder in folders):
        import torchao.quantization  # noqa: F401
    return [_in_a_copy(Path(folder), texts) for folder in folders]


def _in_a_copy(folder: Path, texts: Sequence[str]) -> float:
    import multiprocessing

    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_tell, args=(theirs, folder, texts))
    child.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        child.join()


def _tell(answer: "Connection", folder: Path, texts: Sequence[str]) -> None:
    from recutils.deploy.compact import open_compact

    before = runs.peak_memory_mb()
    encoder = open_compact(folder)
    for start in range(0, len(texts), BATCH):
        encoder.forward(encoder.tokens(texts[start : start + BATCH]))
    answer.send(runs.peak_memory_mb() - before)


def costs(
    encoders: Mapping[str, "Compact"], texts: Sequence[str], root: Path, *, rounds: int = 5, single: int = 20
) -> pd.DataFrame:
    """One row an encoder: weights_mb and folder_mb on disk, p50_ms and p95_ms of one text, texts_per_s with quartiles
    (low, high), times as fast as the first encoder with quartiles, memory_mb. MB are 10^6 bytes.

    Each is saved under `root`. texts: read in batches; `single` of them, evenly taken, are also read alone. The first
    round of everything warms up and is not counted.
    """
    folders = {name: one.save(root / f"encoder-{n}") for n, (name, one) in enumerate(encoders.items())}
    speeds = throughput(encoders, texts, rounds)
    alone = latencies(encoders, texts[:: max(1, len(texts) // single)][:single], rounds)
    first = next(iter(encoders))
    rows = [{"encoder": name, **_times(speeds, alone[name], name, first)} for name in encoders]
    grown = memory(list(folders.values()), texts[: 4 * BATCH])
    for row, folder, mb in zip(rows, folders.values(), grown, strict=True):
        row["weights_mb"] = (folder / "weights.safetensors").stat().st_size / 1e6
        row["folder_mb"], row["memory_mb"] = folder_bytes(folder) / 1e6, mb
    return pd.DataFrame(rows)


def _times(speeds: pd.DataFrame, alone: pd.Series, name: str, first: str) -> dict[str, float]:
    """The columns of `costs` that are times."""
    low, middle, high = speeds[name].quantile([0.25, 0.5, 0.75])
    times, times_low, times_high = faster(speeds, name, first)
    return {
        "p50_ms": alone.quantile(0.5), "p95_ms": alone.quantile(0.95), "texts_per_s": middle, "low": low, "high": high,
        "times": times, "times_low": times_low, "times_high": times_high,
    }  # fmt: skip


def faster(speeds: pd.DataFrame, name: str, than: str) -> tuple[float, float, float]:
    """How many times faster: median over rounds of the ratio within a round, and its quartiles."""
    ratio = (speeds[name] / speeds[than]).quantile([0.5, 0.25, 0.75])
    return tuple(float(value) for value in ratio)  # type: ignore[return-value]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_grown_each(sys.argv[1:], json.load(sys.stdin))) + "\n")
