"""One step of training several scenarios: which rows it takes, how the losses are weighed. The network: gates.py."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from recutils.data.labelled import check_labels
from recutils.model.training import Loss
from recutils.tables import Problem
from recutils.tune.gates import Shared
from recutils.tune.states import States, shuffled

WEIGHTINGS = ("sum", "uncertainty", "gradients")


@dataclass(frozen=True, eq=False)
class Scenario:
    """One question to the encoder: rows to learn from, rows to stop by.

    states, labels: the training rows. asked, answers: the validation rows. Raises Problem for no rows, another number
    of labels than of texts, a single class, and labels outside the classes.
    """

    name: str
    states: States
    labels: np.ndarray
    asked: States
    answers: np.ndarray
    n_classes: int

    def __post_init__(self) -> None:
        for part, states, labels in (("training", self.states, self.labels), ("validation", self.asked, self.answers)):
            if len(states) == 0:
                raise Problem(f"{self.name} has no {part} rows. Leave the scenario out, or give it rows.")
            if len(states) != len(labels):
                raise Problem(f"{self.name}: {len(states)} {part} texts, but {len(labels)} labels; one each.")
            check_labels(labels, self.n_classes, f"{self.name}, {part} rows")

    def __len__(self) -> int:
        return len(self.states)


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """How scenarios share one trunk.

    weighting: "sum" of the losses; "uncertainty": each loss is divided by a learnt variance (Kendall et al. 2018);
    "gradients": each is weighed so that it pulls alike on the last layer, more where it has fallen less (the goal of
    GradNorm, Chen et al. 2018, in closed form at each step instead of a descent towards it).
    temperature: 0 takes rows of every scenario in each step. Above 0 a step holds one scenario, drawn with chances in
    proportion to n^(1/temperature): 1 follows the sizes, a large one draws all alike.
    adapter, experts, narrow: the small parts, see gates.Shared.
    """

    weighting: str = "sum"
    temperature: float = 0.0
    adapter: int = 0
    experts: int = 0
    narrow: int = 32

    def __post_init__(self) -> None:
        if self.weighting not in WEIGHTINGS:
            raise Problem(f"weighting must be one of {', '.join(WEIGHTINGS)}; got {self.weighting!r}")
        if self.temperature < 0 or (self.temperature and self.weighting != "sum"):
            came = f"{self.temperature} with weighting {self.weighting!r}"
            raise Problem(f"temperature must be 0 or more, and weights need all losses in one step (0); got {came}")

    @property
    def parts(self) -> dict[str, int]:
        """What `gates.new_shared` is told."""
        return {"adapter": self.adapter, "experts": self.experts, "narrow": self.narrow}


def chances_of(sizes: Sequence[int], temperature: float) -> np.ndarray:
    """How likely each scenario is drawn: in proportion to size^(1/temperature), summing to 1.

    >>> chances_of([900, 100], 1.0).round(2).tolist(), chances_of([900, 100], 2.0).round(2).tolist()
    ([0.9, 0.1], [0.75, 0.25])
    """
    if not temperature > 0:
        raise Problem(f"temperature must be above 0 to draw by; got {temperature}")
    raised = np.array(sizes, dtype=np.float64) ** (1 / temperature)
    return raised / raised.sum()


def n_steps(sizes: Sequence[int], batch: int, temperature: float) -> int:
    """Steps in one epoch, in which about all rows are met once: of the largest scenario, or of all one by one."""
    return math.ceil((sum(sizes) if temperature else max(sizes)) / batch)


def batches(scenarios: Sequence[Scenario], sharing: Sharing, batch: int) -> Callable:
    """What `training.train` draws from: (scenario numbers, labels, hidden, mask), rows of like length together.

    Together: every scenario's rows are spread over the steps of the largest, so that each row is met once an epoch.
    With a temperature: one scenario a step, whose rows go round and round.
    """

    def together(_: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
        steps = n_steps([len(one) for one in scenarios], batch, 0)
        for rows in zip(*[_spread(one.states.lengths, steps, rng) for one in scenarios], strict=True):
            yield _batch(scenarios, rows)

    def by_chance(_: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
        sizes = [len(one) for one in scenarios]
        endless = [_round_and_round(one.states.lengths, batch, rng) for one in scenarios]
        drawn = rng.choice(len(sizes), size=n_steps(sizes, batch, 1), p=chances_of(sizes, sharing.temperature))
        for number in drawn:
            yield _batch(scenarios, [next(endless[number]) if place == number else () for place in range(len(sizes))])

    return by_chance if sharing.temperature else together


def _spread(lengths: np.ndarray, steps: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Each row in one of the steps, evenly; where rows are fewer than steps, some steps have none."""
    drawn = shuffled(lengths, math.ceil(len(lengths) / steps), rng)
    found = [np.empty(0, dtype=np.int64)] * steps
    for place, rows in enumerate(drawn):
        found[place * steps // len(drawn)] = rows
    return found


def _round_and_round(lengths: np.ndarray, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    while True:
        yield from shuffled(lengths, batch, rng)


def _batch(scenarios: Sequence[Scenario], rows: Sequence[np.ndarray]) -> tuple[Tensor, ...]:
    """Rows of several scenarios as one: which scenario, labels, vectors filled up to the longest, mask."""
    chosen = [(number, row) for number, mine in enumerate(rows) for row in mine]
    states = States(tuple(scenarios[number].states.rows[row] for number, row in chosen))
    labels = torch.tensor([int(scenarios[number].labels[row]) for number, row in chosen])
    return torch.tensor([number for number, _ in chosen]), labels, *states.batch(np.arange(len(chosen)))


def loss_of(scenarios: Sequence[Scenario], sharing: Sharing) -> Loss:
    """The scenarios' mean losses, weighed and summed, over their number, so that one step clips like a single model's.

    Each scenario passes alone, as wide as its own longest text: no row is filled up for another scenario's.
    """

    def loss(shared: Shared, which: Tensor, labels: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
        each = {}
        for number in which.unique().tolist():
            mine = which == number
            width = int(mask[mine].sum(1).max())
            scores = shared(scenarios[number].name, hidden[mine][:, :width], mask[mine][:, :width])
            each[scenarios[number].name] = nn.functional.cross_entropy(scores, labels[mine])
        return weighed(shared, each, sharing.weighting) / len(each)

    return loss


def weighed(shared: Shared, losses: Mapping[str, Tensor], weighting: str) -> Tensor:
    """The sum of the losses under a weighting, see Sharing."""
    if weighting == "uncertainty":
        logs = {name: shared.log_variances[name] for name in losses}
        return torch.stack([loss * torch.exp(-logs[name]) + logs[name] / 2 for name, loss in losses.items()]).sum()
    values = torch.stack(list(losses.values()))
    if weighting == "gradients":
        start = torch.tensor([math.log(shared.heads[name].out_features) for name in losses])  # heads began at zero
        return (values * gradient_weights(_pulls(shared, losses), values.detach() / start)).sum()
    return values.sum()


def gradient_weights(pulls: Tensor, left: Tensor) -> Tensor:
    """Weights (n,) with mean 1 that make weight x pull proportional to what is left of each loss.

    pulls: lengths of the losses' gradients. left: each loss over its first value.
    """
    wanted = left.clamp(min=1e-6) / pulls.clamp(min=1e-6)
    return len(pulls) * wanted / wanted.sum()


def _pulls(shared: Shared, losses: Mapping[str, Tensor]) -> Tensor:
    """The length of each loss's gradient at the last layer's last matrix."""
    last = [weight for weight in shared.layers[-1].parameters() if weight.dim() == 2][-1]
    found = [torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in losses.values()]
    return torch.stack(found)
