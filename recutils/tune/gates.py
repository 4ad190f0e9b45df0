"""One trunk of upper layers with a head for each scenario, and the small parts between: adapters of one scenario's own,
experts that all scenarios share through gates. How they are trained is in scenarios.py.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from recutils.tables import Problem
from recutils.tune.classifier import mean_and_max, n_trained
from recutils.tune.states import Base, autocast, run_layer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OWN = ("heads", "adapters", "gates", "log_variances")  # parts of a scenario alone; layers and experts serve all


class Bottleneck(nn.Module):
    """What is added to a layer's output: down to a few numbers, GELU, up again (Houlsby et al. 2019).

    The way up begins at zero, so that an untrained adapter changes nothing.
    """

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, narrow), nn.Linear(narrow, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """The correction (b, tokens, d), to be added."""
        return self.up(nn.functional.gelu(self.down(hidden)))


class Experts(nn.Module):
    """Several bottlenecks side by side, weighed for each text: one wide bottleneck whose middle is scaled by groups."""

    def __init__(self, width: int, n_experts: int, narrow: int) -> None:
        super().__init__()
        self.n_experts, self.wide = n_experts, Bottleneck(width, n_experts * narrow)

    def forward(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """The weighed correction (b, tokens, d). weights: (b, experts)."""
        middle = nn.functional.gelu(self.wide.down(hidden)).unflatten(-1, (self.n_experts, -1))
        return self.wide.up((middle * weights[:, None, :, None].to(middle.dtype)).flatten(-2))


class Shared(nn.Module):
    """Upper layers for all scenarios, a linear head for each; perhaps adapters for each, or experts behind gates.

    classes: scenario -> number of classes. adapter: width of each scenario's own bottleneck after every layer, 0 for
    none. experts: how many bottlenecks of width `narrow` follow every layer for all scenarios; each scenario's gate
    weighs them by the text (the mixture of experts of Ma et al. 2018, MMoE, with adapters as its experts).
    Heads and gates begin at zero: the first guess is the same for all classes, and all experts weigh the same.
    """

    def __init__(
        self,
        layers: nn.ModuleList,
        width: int,
        classes: Mapping[str, int],
        *,
        adapter: int = 0,
        experts: int = 0,
        narrow: int = 32,
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        if min(adapter, experts) < 0 or narrow < 1:
            raise Problem(f"adapter and experts must be 0 or more, narrow above 0; got {adapter}, {experts}, {narrow}")
        self.layers, self.width, self.adapter, self.precision = layers, width, adapter, precision
        self.dropout = nn.Dropout(0.1)
        self.experts = nn.ModuleList([Experts(width, experts, narrow) for _ in layers if experts])
        self.heads, self.adapters, self.gates = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        self.log_variances = nn.ParameterDict()
        for name, n_classes in classes.items():
            self.grow(name, n_classes, adapter=adapter)

    @property
    def names(self) -> tuple[str, ...]:
        """The scenarios that have a head."""
        return tuple(self.heads)

    def grow(self, name: str, n_classes: int, *, adapter: int = 0) -> None:
        """A head (and adapter, gate) for one scenario more; nothing that is there is touched."""
        if not name or "." in name or name in self.heads:
            raise Problem(f"a scenario needs a name of its own without dots; got {name!r} beside {list(self.heads)}.")
        if n_classes < 2:
            raise Problem(f"{name}: {n_classes} class(es); a head needs at least two.")
        self.heads[name] = _zero(nn.Linear(2 * self.width, n_classes))
        if adapter:
            self.adapters[name] = nn.ModuleList([Bottleneck(self.width, adapter) for _ in self.layers])
        if len(self.experts):
            self.gates[name] = _zero(nn.Linear(self.width, self.experts[0].n_experts))
        self.log_variances[name] = nn.Parameter(torch.zeros(1), requires_grad=False)

    def check(self, name: str) -> str:
        """The name, when there is such a scenario; raises Problem else."""
        if name not in self.heads:
            raise Problem(
                f"no scenario is called {name!r}; this encoder has {', '.join(self.heads)}. Use one, or grow."
            )
        return name

    def shares(self, name: str, hidden: Tensor, mask: Tensor) -> Tensor:
        """The weight of each expert for each text, (b, experts), rows that sum to 1."""
        mean = (hidden.float() * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        return self.gates[self.check(name)](mean).softmax(1)

    def pooled(self, name: str, hidden: Tensor, mask: Tensor) -> Tensor:
        """One vector (b, 2 d) fp32 for each text of a scenario, from its tokens' (b, width, d)."""
        own = self.adapters[name] if self.check(name) in self.adapters else ()
        weights = self.shares(name, hidden, mask) if len(self.experts) else None
        with autocast(self.precision):
            hidden = hidden if self.precision == "bf16" else hidden.float()
            for place, layer in enumerate(self.layers):
                after = run_layer(layer, hidden, mask)
                hidden = after + own[place](after) if len(own) else after
                if weights is not None:
                    hidden = hidden + self.experts[place](after, weights)
        return mean_and_max(hidden.float(), mask)

    def forward(self, name: str, hidden: Tensor, mask: Tensor) -> Tensor:
        """Logits (b, n_classes of the scenario) fp32."""
        return self.heads[self.check(name)](self.dropout(self.pooled(name, hidden, mask)))

    def one(self, name: str) -> "One":
        """A view of one scenario that is asked like any classifier; its weights are these."""
        return One(self, self.check(name)).train(self.training)

    def counts(self) -> dict[str, int]:
        """Numbers in the parts: trunk (layers), experts, and own (heads, adapters, gates of all scenarios)."""
        own = sum(weight.numel() for name, weight in self.named_parameters() if name.startswith(OWN[:3]))
        return {"trunk": _numbers(self.layers), "experts": _numbers(self.experts), "own": own}


class One(nn.Module):
    """One scenario of a Shared: what `classifier.probabilities` asks."""

    def __init__(self, shared: Shared, name: str) -> None:
        super().__init__()
        self.shared, self.name = shared, name

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Logits of this scenario."""
        return self.shared(self.name, hidden, mask)


def new_shared(
    base: Base,
    classes: Mapping[str, int],
    *,
    dropout: float = 0.1,
    model: "PreTrainedModel | None" = None,
    **parts: int,
) -> Shared:
    """An untrained Shared over the base's upper layers. parts: adapter, experts, narrow. model: the base's own."""
    model = model or base.load()[1]
    layers = nn.ModuleList(copy.deepcopy(model.encoder.layer[base.frozen :]))
    made = Shared(layers, model.config.hidden_size, classes, precision=base.precision, **parts)
    for module in made.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    return made


def share_of(shared: Shared, singles: Sequence[Shared]) -> float:
    """Numbers of one shared network over those of the single ones together; the frozen layers below are in neither."""
    return sum(shared.counts().values()) / sum(sum(one.counts().values()) for one in singles)


def weights_of(shared: Shared) -> dict[str, np.ndarray]:
    """All weights by name, for `kept` or a file."""
    return {name: weight.detach().numpy().copy() for name, weight in shared.state_dict().items()}


def with_weights(shared: Shared, weights: Mapping[str, np.ndarray]) -> Shared:
    """Put weights into a network of the same make, in evaluation mode. Raises Problem for other scenarios or shapes."""
    mine = shared.state_dict()
    theirs = sorted({name.split(".")[1] for name in weights if name.startswith("heads.")})
    if theirs != sorted(shared.names):
        raise Problem(f"these weights have heads for {theirs}, the network for {sorted(shared.names)}. Name the same.")
    odd = sorted(mine.keys() ^ weights.keys()) or [n for n in mine if tuple(mine[n].shape) != weights[n].shape]
    if odd:
        raise Problem(
            f"these weights are of another make: {', '.join(odd[:3])} differ. Give the same parts and widths."
        )
    shared.load_state_dict({name: torch.from_numpy(np.array(weights[name])) for name in mine})
    return shared.eval()


def own_parts(shared: Shared, name: str) -> dict[str, Tensor]:
    """Copies of what belongs to one scenario alone, by name in the whole."""
    parts = {key: key.split(".") for key in shared.state_dict()}
    mine = [key for key, (part, *rest) in parts.items() if part in OWN and rest[0] == shared.check(name)]
    return {key: shared.state_dict()[key].clone() for key in mine}


def only_own(shared: Shared, name: str) -> int:
    """Let training change what belongs to this scenario and nothing else; returns how many numbers that is."""
    mine = own_parts(shared, name)
    for key, weight in shared.named_parameters():
        weight.requires_grad_(key in mine and not key.startswith("log_variances"))
    return n_trained(shared)


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _numbers(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())
