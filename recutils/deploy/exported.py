"""An encoder's layers as an ONNX graph in int8, run by onnxruntime: the extra `onnx`. Without it, a sentence says so.

The graph comes from torch's older exporter: onnxruntime's quantiser refuses what the newer one writes of a BERT.
"""

import importlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recutils.deploy.compact import Compact
from recutils.deploy.footprint import faster, throughput
from recutils.tables import Problem

NEEDED = ("onnx", "onnxruntime", "onnxscript")
MISSING = "int8 by onnxruntime: not measured: make extra-onnx"


class Exported(nn.Module):
    """A session of onnxruntime that reads as `compact.Layers` does."""

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__()
        onnxruntime = importlib.import_module("onnxruntime")  # an extra, so that it is imported by name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def forward(self, numbers: Tensor, mask: Tensor) -> Tensor:
        """Vectors (b, d) fp32 of token numbers and mask (b, width)."""
        (found,) = self._session.run(None, {"numbers": numbers.numpy(), "mask": mask.numpy()})
        return torch.from_numpy(found)


def available() -> bool:
    """Whether the extra is installed."""
    return all(importlib.util.find_spec(name) is not None for name in NEEDED)


@contextmanager
def _unadvised() -> Iterator[None]:
    """Without the quantiser's advice, given to the root logger, to look for shapes first: an encoder's are known."""
    before = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(before)


def in_onnx(given: Compact, folder: Path) -> tuple[Compact, Path]:
    """The fp32 layers as an int8 graph in `folder`, ready to read, and its file.

    Raises Problem without the extra and for layers that are rounded already.
    """
    if not available():
        raise Problem(f"{', '.join(NEEDED)} are needed for a graph; run make extra-onnx.")
    if given.precision != "fp32":
        raise Problem(f"make it small first and round last: expected fp32, got {given.precision}")
    quantiser = importlib.import_module("onnxruntime.quantization")
    whole, small = folder / "fp32.onnx", folder / "int8.onnx"
    example = torch.ones((2, 8), dtype=torch.int64), torch.ones((2, 8), dtype=torch.int64)
    axes = {name: {0: "batch", 1: "width"} for name in ("numbers", "mask")} | {"vectors": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer: the older exporter announces the newer, and notes of shapes
        torch.onnx.export(
            given.module, example, str(whole), dynamo=False, opset_version=17, dynamic_axes=axes,
            input_names=["numbers", "mask"], output_names=["vectors"],
        )  # fmt: skip
        with _unadvised():
            quantiser.quantize_dynamic(whole, small, weight_type=quantiser.QuantType.QInt8)
    whole.unlink()
    return given.but(module=Exported(small, torch.get_num_threads())), small


def told(given: Compact, texts: Sequence[str], timed: Sequence[str], folder: Path, rounds: int) -> str:
    """A sentence on the int8 graph beside fp32: its file, its speed in turn with fp32, its vectors' mean cosine."""
    if not available():
        return MISSING
    small, path = in_onnx(given, folder)
    speeds = throughput({"fp32": given, "onnx": small}, timed, rounds)
    times, low, high = faster(speeds, "onnx", "fp32")
    cosine = float(np.mean((small.encode(texts) * given.encode(texts)).sum(axis=1)))
    return (
        f"int8 by onnxruntime: {path.stat().st_size / 1e6:.1f} MB, {times:.1f} times as fast as fp32 (quartiles "
        f"{low:.1f} to {high:.1f}), mean cosine to fp32's vectors {cosine:.4f}; its ranking is not judged here."
    )
