"""Low-rank adapters (LoRA) on a decoder's upper half: made, trained on yes and no, kept and found again.

The lower half was run once for all epochs, seeds and sizes (`Decoder.read`); here only the upper layers are computed.
"""

import copy
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recutils import runs
from recutils.model.plan import History, Plan
from recutils.model.threads import one_thread
from recutils.model.training import Batch, seeded, train
from recutils.tables import Problem
from recutils.tune.decoder import Decoder, Read, together
from recutils.tune.packing import ROW, layout, rows

WEIGHTS, ABOUT = "adapter.safetensors", "adapter.json"


@dataclass(frozen=True, kw_only=True)
class Lora:
    """What an adapter looks like: W x + (alpha / rank) B A x at each target, B A of this rank (Hu and others 2021).

    targets: names of the linear maps of a layer that get one. dropout: of x on its way into A.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ("q_proj", "v_proj")

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.alpha > 0 or not 0 <= self.dropout < 1 or not self.targets:
            raise Problem(f"rank must be at least 1, alpha above 0, dropout in 0..1, targets not empty; got {self}")


class Adapted(nn.Module):
    """A decoder's upper half with an adapter, which says yes or no: log odds. Its state is the adapter alone.

    decoder: lends its upper layers, which are copied; yes, no: the answers. seed: of the adapter's first weights.
    """

    def __init__(self, decoder: Decoder, lora: Lora, yes: str, no: str, *, seed: int = 0) -> None:
        super().__init__()
        above = copy.deepcopy(decoder.parts.above)
        _inject(above, lora, seed)
        self._kept = (above, decoder.contrast(yes, no))  # in a tuple, so that they are no part of the state
        named = {name: weight for name, weight in above.named_parameters() if weight.requires_grad}
        self.names = list(named)
        self.adapter = nn.ParameterList(named.values())
        self.bias = nn.Parameter(torch.zeros(()))
        self.about = {"model": decoder.checkpoint.hash, "upper": decoder.upper, "answers": [yes, no], **asdict(lora)}

    def train(self, mode: bool = True) -> "Adapted":
        """Training mode, of the layers too, for dropout."""
        self._kept[0].train(mode)
        return super().train(mode)

    @property
    def n_weights(self) -> int:
        """How many numbers are trained."""
        return sum(weight.numel() for weight in self.parameters())

    def forward(self, states: Tensor, positions: Tensor, mask: Tensor, ends: Tensor) -> Tensor:
        """Log odds of yes (n,) float32 at the places `ends` (n, 2: row, place) of rows of states (b, tokens, d)."""
        above, contrast = self._kept
        return states_at(above, states, positions, mask, ends).float() @ contrast + self.bias

    def answers(self, found: Sequence[Read]) -> np.ndarray:
        """Log odds of yes after each ending, all texts in a row: (n,) float64."""
        with one_thread(), torch.no_grad():
            told = [self(*batch_of([found[number] for number in row])) for row in rows([one.shape for one in found])]
        return torch.cat(told).double().cpu().numpy()


def _inject(above: nn.Module, lora: Lora, seed: int) -> None:
    """Put the adapter into the layers, in float32 whatever the layers are, with weights of their own seed."""
    from peft import LoraConfig, inject_adapter_in_model

    options = {"r": lora.rank, "lora_alpha": lora.alpha, "lora_dropout": lora.dropout}
    with seeded(seed):
        try:
            inject_adapter_in_model(LoraConfig(target_modules=list(lora.targets), **options), above)
        except ValueError as fault:  # no module of these names
            names = sorted(
                {name.rsplit(".", 1)[-1] for name, part in above.named_modules() if isinstance(part, nn.Linear)}
            )
            raise Problem(f"targets {list(lora.targets)} are not in this model; expected some of {names}.") from fault
    for weight in above.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def states_at(above: nn.Module, states: Tensor, positions: Tensor, mask: Tensor, ends: Tensor) -> Tensor:
    """What the upper half says at some places only, (n, d): its last layer is computed for these alone.

    The same as the whole half gives there; a quarter to a half of the work is saved, most with few upper layers.
    """
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb as turned

    turn = above.rotary_emb(states, positions)
    *lower, last = above.layers
    for layer in lower:
        states = layer(states, attention_mask=mask[:, None], position_embeddings=turn)
    row, place = ends.T
    attention, read = last.self_attn, last.input_layernorm(states)
    query, key, value = attention.q_proj(read[row, place][:, None]), attention.k_proj(read), attention.v_proj(read)
    query, key, value = (part.unflatten(-1, (-1, attention.head_dim)).transpose(1, 2) for part in (query, key, value))
    query, _ = turned(query, query, *(part[row, place][:, None] for part in turn))
    key, _ = turned(key, key, *turn)
    seen = nn.functional.scaled_dot_product_attention(
        query, key[row], value[row], attn_mask=mask[row, place][:, None, None], scale=attention.scaling, enable_gqa=True
    )
    found = states[row, place] + attention.o_proj(seen.transpose(1, 2).flatten(1))
    return above.norm(found + last.mlp(last.post_attention_layernorm(found)))


def batch_of(found: Sequence[Read], most: int = ROW) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Texts as what `Adapted` takes: states (b, tokens, d), positions, mask and ends, in rows of at most `most` tokens.

    Rows are filled up on the right with places that see only themselves.
    """
    shapes = [one.shape for one in found]
    chosen = list(rows(shapes, most))
    plans = [layout([shapes[number] for number in row]) for row in chosen]
    states = [together([found[number] for number in row]) for row in chosen]
    mask = torch.eye(max(map(len, plans)), dtype=torch.bool).repeat(len(plans), 1, 1)
    for number, plan in enumerate(plans):
        mask[number, : len(plan), : len(plan)] = plan.mask
    ends = [(number, one.stop - 1) for number, plan in enumerate(plans) for begin in plan.endings for one in begin]
    positions = [plan.positions for plan in plans]
    filled = (nn.utils.rnn.pad_sequence(part, batch_first=True) for part in (states, positions))
    return *filled, mask, torch.tensor(ends)


def tune(
    module: Adapted,
    found: Sequence[Read],
    labels: np.ndarray,
    plan: Plan,
    *,
    batch: int = 8,
    valid: tuple[Sequence[Read], np.ndarray] | None = None,
    checkpoint: Path | None = None,
    about: dict[str, Any] | None = None,
) -> History:
    """Train an adapter in place on texts with one ending each and their labels (n,) bool; yes stands for True.

    First the bias is set so that the mean answer fits the labels' share (as in Zhao and others 2021, calibration).
    valid: texts and the labels of all their endings, of which the best epoch's AUC is kept. checkpoint, about: as in
    `model.training.train`, so that a killed training goes on. Raises Problem when the labels are of one class.
    """
    labels = _both(labels, found)
    share = float(labels.mean())
    with torch.no_grad():
        module.bias += np.log(share / (1 - share)) - float(module.eval().answers(found).mean())
    judge = None if valid is None else lambda one: _auc(one.answers(valid[0]), valid[1])
    told = {**module.about, "n": len(labels), **(about or {})}
    return train(
        module, lambda _, rng: _batches(found, labels, batch, rng), _loss, plan,
        validate=judge, checkpoint=checkpoint, about=told,
    )  # fmt: skip


def _both(labels: np.ndarray, found: Sequence[Read]) -> np.ndarray:
    labels = np.asarray(labels, dtype=bool)
    if len(labels) != len(found) or any(len(one.endings) != 1 for one in found):
        raise Problem(f"each text needs one ending and one label; got {len(found)} texts and {len(labels)} labels.")
    if labels.all() or not labels.any():
        raise Problem(
            f"all {len(labels)} labels are {bool(labels[:1].all())}; both kinds are needed to learn anything."
        )
    return labels


def _batches(found: Sequence[Read], labels: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[Batch]:
    order = rng.permutation(len(found))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        alone = batch_of([found[number] for number in chosen], 1)  # attention over one text is cheap to differentiate
        yield (torch.from_numpy(labels[chosen]).float(), *alone)


def _loss(module: nn.Module, labels: Tensor, *row: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(module(*row), labels)


def _auc(scores: np.ndarray, labels: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


def save(module: Adapted, folder: Path) -> Path:
    """Write an adapter as safetensors beside what it belongs to, whole or not at all."""
    from safetensors.torch import save_file

    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    state = module.state_dict()
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, partial / WEIGHTS)
    runs.write_text(partial / ABOUT, json.dumps({**module.about, "names": module.names}, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    return folder


def load(decoder: Decoder, folder: Path) -> Adapted:
    """The adapter that `save` wrote, on its decoder. Raises Problem when it belongs to another model or halving."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        told = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise Problem(f"{folder} holds no adapter ({fault}). Make one with lora.tune and lora.save.") from fault
    for name, mine in (("model", decoder.checkpoint.hash), ("upper", decoder.upper)):
        if told.get(name) != mine:
            came, wanted = str(told.get(name))[:12], str(mine)[:12]
            raise Problem(f"{folder}: made for {name} {came}; the decoder has {wanted}. Open that one.")
    lora = Lora(**{name: told[name] for name in ("rank", "alpha", "dropout")}, targets=tuple(told["targets"]))
    module = Adapted(decoder, lora, *told["answers"])
    try:
        module.load_state_dict(load_file(folder / WEIGHTS))
    except (RuntimeError, OSError, SafetensorError) as fault:
        raise Problem(f"{folder}: the weights do not fit their description ({fault}). Make it again.") from fault
    return module.eval()
