"""A causal language model that answers about films: what many texts share is read once. Nothing is trained here."""

import copy
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from recutils.encode.checkpoint import Checkpoint
from recutils.encode.decoder import find_decoder, open_decoder
from recutils.encode.encoder import DEVICES, PRECISIONS
from recutils.model.threads import one_thread
from recutils.tables import Problem
from recutils.tune.packing import Layout, Shape, layout, rows
from recutils.tune.prompts import Text

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False)
class Beginning:
    """A text that others go on from. states: (n, d), what the lower half makes of it; cache: their keys and values."""

    states: Tensor
    cache: "DynamicCache"

    def __len__(self) -> int:
        return len(self.states)


@dataclass(frozen=True, eq=False)
class Read:
    """A beginning and its endings after the lower half: (n, d), and (length, d) each."""

    begin: Tensor
    endings: tuple[Tensor, ...]

    @property
    def shape(self) -> Shape:
        """How many tokens there are of each."""
        return len(self.begin), tuple(len(ending) for ending in self.endings)


@dataclass(frozen=True, eq=False)
class Parts:
    """A Llama taken apart: `below` ends before the upper layers, `above` is these and the last norm, head the words."""

    tokenizer: "PreTrainedTokenizerBase"
    below: nn.Module
    above: nn.Module
    head: Tensor


@dataclass(frozen=True, eq=False)
class Decoder:
    """A causal language model in two halves: the lower layers never change, the upper ones may be tuned (`lora`).

    model: as in `find_decoder`. upper: layers of the upper half. precision: "bf16" takes half the time where the
    processor has it. In bf16 a score depends a little on what else was read in the same row of tokens.
    """

    model: str | Path
    _: KW_ONLY
    upper: int = 2
    precision: str = "fp32"
    device: str = "cpu"
    checkpoint: Checkpoint = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name, choices in (("precision", PRECISIONS), ("device", DEVICES)):
            if getattr(self, name).split(":")[0] not in choices:
                raise Problem(f"{name} must be one of {', '.join(choices)}; got {getattr(self, name)!r}")
        object.__setattr__(self, "checkpoint", find_decoder(self.model))

    @cached_property
    def parts(self) -> Parts:
        """The loaded model in its two halves. Raises Problem for another architecture than Llama."""
        tokenizer, model = open_decoder(self.checkpoint, self.precision, self.device)
        return Parts(tokenizer, *taken_apart(model, self.upper))

    def ids(self, text: str) -> list[int]:
        """A text's tokens, none added. Raises Problem for an empty text."""
        found = self.parts.tokenizer(text, add_special_tokens=False)["input_ids"]
        if not found:
            raise Problem("a text for the decoder is empty; give at least one word.")
        return found

    def begin(self, text: str) -> Beginning:
        """Read a text once; others may go on from it."""
        from transformers import DynamicCache

        ids, cache = self.ids(text), DynamicCache()
        self._check(len(ids))
        return Beginning(self._below(torch.tensor(ids), layout([(len(ids), ())]), cache), cache)

    def read(self, texts: Sequence[Text], after: Beginning | None = None) -> list[Read]:
        """Texts and their endings through the lower half, each beginning once for all its endings.

        after: what all of them go on from; then a beginning may be empty. Raises Problem without any ending and for a
        prompt that is longer than the model's context.
        """
        tokens = [self._tokens(begin, endings, after) for begin, endings in texts]
        shapes = [(len(begin), tuple(map(len, endings))) for begin, endings in tokens]
        found: list[Read] = []
        for row in rows(shapes):
            plan = layout([shapes[number] for number in row], 0 if after is None else len(after))
            ids = [token for number in row for piece in (tokens[number][0], *tokens[number][1]) for token in piece]
            states = self._below(torch.tensor(ids), plan, None if after is None else copy.deepcopy(after.cache))
            for begin, endings in zip(plan.begins, plan.endings, strict=True):
                found.append(Read(states[begin].clone(), tuple(states[one].clone() for one in endings)))
        return found

    def _tokens(self, begin: str, endings: Sequence[str], after: Beginning | None) -> tuple[list[int], list[list[int]]]:
        if not len(endings):
            raise Problem(f"there is no ending after {begin[-40:]!r}; give at least one candidate.")
        first = [] if after is not None and not begin else self.ids(begin)
        rest = [self.ids(ending) for ending in endings]
        self._check((0 if after is None else len(after)) + len(first) + max(map(len, rest)))
        return first, rest

    def _check(self, n: int) -> None:
        longest = self.checkpoint.longest
        if n > longest:
            raise Problem(
                f"a prompt has {n} tokens; {self.checkpoint.name} has room for {longest}. Shorten the history."
            )

    def _below(self, ids: Tensor, plan: Layout, cache: "DynamicCache | None") -> Tensor:
        """A row of tokens (n,) through the lower half: (n, d)."""
        given = {"position_ids": plan.positions[None], "attention_mask": plan.mask[None, None]}
        with one_thread(), torch.inference_mode():
            return self.parts.below(
                input_ids=ids[None].to(self.device),
                **{name: tensor.to(self.device) for name, tensor in given.items()},
                past_key_values=cache, use_cache=cache is not None,
            ).last_hidden_state[0]  # fmt: skip

    def top(self, found: Sequence[Read], after: Beginning | None = None) -> list[tuple[Tensor, tuple[Tensor, ...]]]:
        """What the upper half says at each place: of each text the beginning's (n, d) and its endings' (length, d)."""
        from transformers import DynamicCache

        told: list[tuple[Tensor, tuple[Tensor, ...]]] = []
        with one_thread(), torch.inference_mode():
            for row in rows([one.shape for one in found]):
                chosen = [found[number] for number in row]
                cache = None if after is None else DynamicCache()
                if after is not None:
                    self.parts.above(inputs_embeds=after.states[None], past_key_values=cache, use_cache=True)
                plan = layout([one.shape for one in chosen], 0 if after is None else len(after))
                states = upper_states(self.parts.above, together(chosen), plan, cache)
                told += [
                    (states[b], tuple(states[e] for e in es)) for b, es in zip(plan.begins, plan.endings, strict=True)
                ]
        return told

    def answers(self, found: Sequence[Read], yes: str, no: str, after: Beginning | None = None) -> np.ndarray:
        """How much likelier "yes" is than "no" after each ending, all texts in a row: log odds (n,) float64."""
        ends = torch.stack([ending[-1] for _, endings in self.top(found, after) for ending in endings])
        return (ends.float() @ self.contrast(yes, no)).double().cpu().numpy()

    def contrast(self, yes: str, no: str) -> Tensor:
        """The direction (d,) in which "yes" and "no" differ. Raises Problem when they begin with the same token."""
        first = [self.ids(word)[0] for word in (yes, no)]
        if first[0] == first[1]:
            raise Problem(f"the answers {yes!r} and {no!r} begin with the same token. Choose two that differ.")
        return self.parts.head[first[0]].float() - self.parts.head[first[1]].float()

    def likelihoods(self, texts: Sequence[Text], found: Sequence[Read]) -> np.ndarray:
        """log p of each ending after its beginning, all texts in a row: (n,) float64, sums over the ending's tokens."""
        told = []
        for (_, endings), (begin, states) in zip(texts, self.top(found), strict=True):
            ids = [torch.tensor(self.ids(ending), device=begin.device) for ending in endings]
            before = torch.cat([torch.cat([begin[-1:], one[:-1]]) for one in states])
            logs = (before @ self.parts.head.T).float().log_softmax(-1)
            each = logs[torch.arange(len(logs)), torch.cat(ids)].double()
            told += [float(part.sum()) for part in each.split([len(one) for one in ids])]
        return np.array(told)


def together(found: Sequence[Read]) -> Tensor:
    """The states of several texts as one row (n, d), in the order of `packing.layout`."""
    return torch.cat([piece for one in found for piece in (one.begin, *one.endings)])


def upper_states(above: nn.Module, states: Tensor, plan: Layout, cache: "DynamicCache | None" = None) -> Tensor:
    """A row of states (n, d) through the upper half: (n, d)."""
    return above(
        inputs_embeds=states[None],
        position_ids=plan.positions[None].to(states.device),
        attention_mask=plan.mask[None, None].to(states.device),
        past_key_values=cache, use_cache=cache is not None,
    ).last_hidden_state[0]  # fmt: skip


def taken_apart(model: "PreTrainedModel", upper: int) -> tuple[nn.Module, nn.Module, Tensor]:
    """below, above and the word vectors of a LlamaForCausalLM, which is used up by it."""
    from transformers import LlamaForCausalLM

    if not isinstance(model, LlamaForCausalLM):
        raise Problem(f"a Llama is expected; got {type(model).__name__}. Give another model, or its Llama version.")
    below, n = model.model, len(model.model.layers)
    if not 1 <= upper < n:
        raise Problem(f"upper must lie in 1..{n - 1}, for a model of {n} layers; got {upper}")
    above = copy.copy(below)
    above._modules = {name: part for name, part in below._modules.items() if name != "embed_tokens"}
    above.layers, above.config = below.layers[n - upper :], copy.deepcopy(below.config)
    above.config.num_hidden_layers = upper
    for place, layer in enumerate(above.layers):
        layer.self_attn.layer_idx = place
    below.layers, below.norm = below.layers[: n - upper], nn.Identity()
    below.config.num_hidden_layers = n - upper
    model.requires_grad_(False)
    return below.eval(), above.eval(), model.lm_head.weight.detach()
