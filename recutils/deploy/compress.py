"""An encoder made small without training: fewer bits, weights, heads, layers, dimensions, tokens. Students: distil.py.

Each function takes a `Compact` and gives another; nothing given is changed.
"""

import copy
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from recutils.deploy.compact import Compact, Layers, resize_heads
from recutils.deploy.int8 import as_torchao, with_int8
from recutils.encode import checkpoint
from recutils.encode.reduce import fit_step
from recutils.tables import Problem

if TYPE_CHECKING:
    from transformers import BertModel, PreTrainedTokenizerBase


def compact_of(tokenizer: "PreTrainedTokenizerBase", model: "BertModel", *, max_tokens: int = 64) -> Compact:
    """The encoder as it is (fp32), in the form that all else here takes. The model is copied."""
    if model.config.model_type != "bert":
        raise Problem(f"layers can be taken apart for BERT models only; this is a {model.config.model_type!r} model.")
    bert = copy.deepcopy(model)
    bert.pooler = None  # mean pooling never reads it
    return Compact(tokenizer._tokenizer, Layers(bert), max_tokens=max_tokens)


def _layers(given: Compact, *, share: bool = True) -> Layers:
    """A copy of the layers. Raises Problem where there are none, or where they are rounded already.

    share: token rows, half of all numbers, stay common to both; nothing here writes into them.
    """
    if not isinstance(given.module, Layers):
        raise Problem("a token table has no layers, heads or weight matrices; give an encoder with layers.")
    if given.precision != "fp32":
        raise Problem(f"make it small first and round last: expected fp32, got {given.precision}")
    rows = given.module.bert.embeddings.word_embeddings
    return copy.deepcopy(given.module, {id(rows): rows} if share else {})


def in_precision(given: Compact, precision: str) -> Compact:
    """fp32 layers in "bf16" (weights and sums of layers), "int8" (ours) or "int8 torchao"; embeddings stay unless bf16.

    Raises Problem for bf16 on a processor without it.
    """
    if precision == "bf16":
        checkpoint.check_available("bf16", "cpu")
        return given.but(module=_layers(given, share=False).to(torch.bfloat16), precision="bf16")
    makers = {"int8": with_int8, "int8 torchao": as_torchao}
    if precision not in makers:
        raise Problem(f"precision must be bf16, int8 or int8 torchao; got {precision!r}")
    return given.but(module=makers[precision](_layers(given)), precision=precision)


def pruned_weights(given: Compact, share: float) -> Compact:
    """The smallest `share` of each weight matrix set to zero (unstructured magnitude pruning, Han et al. 2015).

    The matrices keep their shapes: a zero is multiplied and stored like any other number.
    """
    if not 0 <= share < 1:
        raise Problem(f"share must lie in 0..1 (below 1); got {share}")
    made = _layers(given)
    with torch.no_grad():
        for linear in _linears(made):
            n_zero = int(share * linear.weight.numel())
            if n_zero:
                floor = linear.weight.abs().flatten().kthvalue(n_zero).values
                linear.weight[linear.weight.abs() <= floor] = 0
    return given.but(module=made)


def zeros(given: Compact) -> float:
    """Share of zeros in the weight matrices of the layers."""
    weights = [linear.weight for linear in _linears(given.module)]
    return float(sum((weight == 0).sum() for weight in weights) / sum(weight.numel() for weight in weights))


def _linears(module: nn.Module) -> Iterable[nn.Linear]:
    return (part for part in module.modules() if isinstance(part, nn.Linear))


def head_weights(given: Compact, texts: Sequence[str]) -> np.ndarray:
    """How much each head adds on these texts: (layers, heads), the mean length of its part of the block's output.

    Cheap and without labels; Michel et al. (2019) take the loss's gradient instead. Heads already pruned are absent,
    so all layers must have equally many.
    """
    watch = given.but(module=(made := _layers(given)))
    found: list[list[Tensor]] = [[] for _ in made.bert.encoder.layer]
    hooks = [
        layer.attention.output.dense.register_forward_pre_hook(
            lambda part, inputs, n=n: found[n].append(_lengths(part, inputs[0], made.bert.encoder.layer[n]))
        )
        for n, layer in enumerate(made.bert.encoder.layer)
    ]
    watch.encode(texts)
    for hook in hooks:
        hook.remove()
    return torch.stack([torch.cat(rows).mean(0) for rows in found]).numpy()


def _lengths(dense: nn.Linear, given: Tensor, layer: nn.Module) -> Tensor:
    """Length of each head's part (b x width, heads)."""
    heads = layer.attention.self.num_attention_heads
    parts = given.reshape(-1, heads, given.shape[-1] // heads)
    weight = dense.weight.reshape(len(dense.weight), heads, -1)
    return torch.einsum("thd,ohd->tho", parts, weight).norm(dim=2)


def without_heads(given: Compact, weights: np.ndarray, share: float) -> Compact:
    """The lightest `share` of all heads taken out, at least one left in each layer: the matrices become smaller.

    weights: (layers, heads), see `head_weights`.
    """
    if not 0 <= share < 1:
        raise Problem(f"share must lie in 0..1 (below 1); got {share}")
    made = _layers(given)
    blocks = [layer.attention for layer in made.bert.encoder.layer]
    if weights.shape != (len(blocks), blocks[0].self.num_attention_heads):
        raise Problem(f"weights must be (layers, heads) of this encoder; got {weights.shape}")
    out = np.zeros(weights.shape, dtype=bool)
    out.flat[np.argsort(weights, axis=None, kind="stable")[: int(share * weights.size)]] = True
    out[np.arange(len(out)), weights.argmax(axis=1)] = False
    for block, gone in zip(blocks, out, strict=True):
        _keep_heads(block, np.flatnonzero(~gone))
    return given.but(module=made)


def _keep_heads(block: nn.Module, heads: np.ndarray) -> None:
    inner, size = block.self, block.self.attention_head_size
    rows = torch.from_numpy((heads[:, None] * size + np.arange(size)).ravel())
    old = {name: getattr(inner, name) for name in ("query", "key", "value")}
    dense = block.output.dense
    resize_heads(block, len(heads))
    with torch.no_grad():
        for name, linear in old.items():
            getattr(inner, name).weight.copy_(linear.weight[rows])
            getattr(inner, name).bias.copy_(linear.bias[rows])
        block.output.dense.weight.copy_(dense.weight[:, rows])
        block.output.dense.bias.copy_(dense.bias)


def with_layers(given: Compact, kept: Sequence[int]) -> Compact:
    """Only these layers, in this order. Raises Problem for a layer that is not there."""
    made = _layers(given)
    n = len(made.bert.encoder.layer)
    if not kept or not set(kept) <= set(range(n)):
        raise Problem(f"kept must name some of the layers 0..{n - 1}; got {list(kept)}")
    made.bert.encoder.layer = nn.ModuleList(made.bert.encoder.layer[place] for place in kept)
    made.bert.config.num_hidden_layers = len(kept)
    return given.but(module=made)


def with_vocabulary(given: Compact, texts: Sequence[str]) -> Compact:
    """Only the token rows that these texts and the special tokens use: these keep their vectors, others are refused.

    Works in any precision whose embeddings are plain rows.
    """
    if given.kept is not None:
        raise Problem("the vocabulary was trimmed before; trim the whole encoder instead.")
    special = [given.tokenizer.token_to_id(name) for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")]
    used = np.unique([*np.concatenate(given.tokens(texts)), *(row for row in special if row is not None)])
    kept = np.full(given.tokenizer.get_vocab_size(), -1, dtype=np.int64)
    kept[used] = np.arange(len(used))
    made = copy.deepcopy(given.module)
    rows = torch.from_numpy(used)
    if isinstance(made, Layers):
        old = made.bert.embeddings.word_embeddings
        made.bert.embeddings.word_embeddings = nn.Embedding.from_pretrained(old.weight.detach()[rows].clone())
        made.bert.config.vocab_size = len(used)
    else:
        made.rows = nn.Parameter(made.rows.detach()[rows].clone())
    return given.but(module=made, kept=kept)


def with_width(given: Compact, vectors: np.ndarray, width: int, how: str = "pca") -> Compact:
    """Vectors of `width` numbers: "pca" of these (n, d) vectors of this encoder, or "cut", the first ones."""
    if given.step is not None:
        raise Problem("the dimensions were trimmed before; trim the whole encoder instead.")
    return given.but(step=fit_step(vectors, how, width=width))
