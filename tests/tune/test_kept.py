"""What was computed is computed once; stored weights fit only what they were made for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from recutils.tables import Problem
from recutils.tune.kept import digest, kept, key_of, load_weights, save_weights

ABOUT = {"epochs": 3, "labels": digest(np.arange(5))}


def test_made_once_then_read_and_made_again_for_other_settings(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> dict[str, np.ndarray]:
        made.append(folder)
        folder.mkdir(parents=True)
        return {"test": np.array([0.25, 0.75])}

    for _ in range(2):
        assert kept(ABOUT, make, root=tmp_path)["test"].tolist() == [0.25, 0.75]
    assert len(made) == 1 and not made[0].exists()
    kept(ABOUT | {"epochs": 4}, make, root=tmp_path)
    assert len(made) == 2
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:20])
    kept(ABOUT, make, root=tmp_path)
    assert len(made) == 3


def test_a_key_covers_settings_and_code() -> None:
    assert key_of(ABOUT) == key_of(dict(reversed(ABOUT.items()))) != key_of(ABOUT | {"epochs": 4})
    assert key_of(ABOUT) != key_of(ABOUT, ["recutils.tune.states"])
    assert digest(np.arange(5)) != digest(np.arange(6)) and digest(["a", "b"]) != digest(["ab"])


def network(width: int = 3) -> nn.Module:
    torch.manual_seed(width)
    made = nn.Sequential(nn.Linear(4, width), nn.Linear(width, 2))
    made[0].requires_grad_(False)
    return made


def test_weights_come_back_and_frozen_ones_are_not_stored(tmp_path: Path) -> None:
    first, second = network(), network()
    nn.init.ones_(first[1].weight)
    folder = save_weights(first, tmp_path / "tuned", ABOUT)
    assert torch.equal(load_weights(second, folder, ABOUT)[1].weight, first[1].weight)
    assert (folder / "weights.safetensors").stat().st_size < 400
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tuned"]


def test_other_models_and_changed_files_are_refused(tmp_path: Path) -> None:
    folder = save_weights(network(), tmp_path / "tuned", ABOUT)
    with pytest.raises(Problem, match="another model: about"):
        load_weights(network(), folder, ABOUT | {"epochs": 9})
    with pytest.raises(Problem, match=r"shape \(2, 3\), expected \(2, 5\)"):
        load_weights(network(5), folder, ABOUT)
    with pytest.raises(Problem, match="not part of this model"):
        load_weights(nn.Sequential(nn.Linear(4, 3)).requires_grad_(False), folder, ABOUT)
    (folder / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(Problem, match=r"not what manifest\.json names"):
        load_weights(network(), folder, ABOUT)
    with pytest.raises(Problem, match="not a folder of tuned weights"):
        load_weights(network(), tmp_path / "nowhere", ABOUT)
