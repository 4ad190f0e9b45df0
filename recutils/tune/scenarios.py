"""Several scenarios on one encoder: trained together, stopped each on its own, and one more added later.

M12 of the project. The network is in gates.py; rows and weights of a step in mixing.py. Nothing is judged here: the
value that stops a training is the caller's.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from recutils.model.plan import History, Plan
from recutils.model.training import Say, seeded, train
from recutils.tables import Problem
from recutils.tune.classifier import Recipe, probabilities
from recutils.tune.gates import Shared, new_shared, only_own, own_parts, weights_of, with_weights
from recutils.tune.kept import MODULES, Arrays, kept
from recutils.tune.mixing import Scenario, Sharing, batches, loss_of, n_steps
from recutils.tune.states import Base

PART_RATE = 10.0  # adapters, experts and gates learn at so many times the rate of the layers, as heads do
VARIANCE_RATE = 100.0  # and the few log-variances at this, or they would not move within some hundred steps
STORED = (*MODULES, *(f"recutils.tune.{name}" for name in ("gates", "mixing", "scenarios")))
Value = Callable[[np.ndarray, np.ndarray], float]  # (labels, chances) -> higher is better


@dataclass(frozen=True, eq=False)
class Course:
    """How a training of several scenarios went. values: (epochs, n) validation value after each epoch. epoch: the one
    whose trunk was kept, 0 first. own_epochs: scenario -> the epoch whose head and adapter were kept with this trunk.
    own_values: their validation values."""

    values: np.ndarray
    epoch: int
    own_epochs: dict[str, int]
    own_values: dict[str, float]

    def table(self) -> pd.DataFrame:
        """One row a scenario: the value with one epoch for all, with its own head's epoch, and with its own trunk's."""
        rows = zip(self.own_values, self.values[self.epoch], self.values.max(axis=0), strict=True)
        return pd.DataFrame(
            [(name, kept, self.own_values[name], best, self.own_epochs[name] + 1) for name, kept, best in rows],
            columns=["scenario", "one epoch", "own head's epoch", "own trunk's epoch", "head's epoch"],
        )


def share(
    base: Base, scenarios: Sequence[Scenario], sharing: Sharing, recipe: Recipe, value: Value, *, say: Say | None = None
) -> tuple[Shared, Course]:
    """Tune one network for all scenarios; one scenario alone gives a single model.

    The trunk is that of the epoch with the best mean validation value. Each scenario then keeps the head (adapter,
    gate) of the epoch that is best with this trunk: stopping each on its own without a second trunk.
    Raises Problem for no scenarios and for a name twice.
    """
    names = [one.name for one in scenarios]
    if not names or len(set(names)) < len(names):
        raise Problem(f"at least one scenario is needed, each with a name of its own; got {names}")
    with seeded(recipe.seed):
        made = new_shared(base, {one.name: one.n_classes for one in scenarios}, dropout=recipe.dropout, **sharing.parts)
    for weight in made.log_variances.values():
        weight.requires_grad_(sharing.weighting == "uncertainty")
    history, values, owns = _trained(made, scenarios, sharing, recipe, value, say=say)
    return made, _stopped_each(made, scenarios, history.best, values, owns, value=value)


def plan_of(recipe: Recipe, scenarios: Sequence[Scenario], sharing: Sharing) -> Plan:
    """The training loop's plan, with the rates of the small parts.

    A step that takes rows of k scenarios gives the trunk and the experts k times the rows: they take sqrt(k) times the
    rate (the square-root rule for Adam, Malladi et al. 2022). Heads, adapters and gates see their own rows only.
    """
    steps = n_steps([len(one) for one in scenarios], recipe.batch, sharing.temperature)
    raised = 1.0 if sharing.temperature else math.sqrt(len(scenarios))
    own = [("heads.", recipe.head_rate), ("log_variances.", VARIANCE_RATE)]
    own += [(part, PART_RATE) for part in ("adapters.", "gates.")]
    rates = (*((part, rate / raised) for part, rate in own), ("experts.", PART_RATE))
    total = recipe.epochs * steps
    plan = replace(recipe.plan(1), steps=total, warm_up=max(1, round(recipe.warm_up * total)))
    return replace(plan, learning_rate=raised * recipe.learning_rate, rates=rates)


Owns = list[dict[str, dict[str, Tensor]]]  # after each epoch: scenario -> copies of what is its own


def _trained(
    made: Shared, scenarios: Sequence[Scenario], sharing: Sharing, recipe: Recipe, value: Value, *, say: Say | None
) -> tuple[History, np.ndarray, Owns]:
    values: list[list[float]] = []
    owns: Owns = []

    def validate(shared: nn.Module) -> float:
        values.append([value_of(shared, one, value) for one in scenarios])
        owns.append({one.name: own_parts(shared, one.name) for one in scenarios})
        return float(np.mean(values[-1]))

    plan = plan_of(recipe, scenarios, sharing)
    drawn, loss = batches(scenarios, sharing, recipe.batch), loss_of(scenarios, sharing)
    history = train(made, drawn, loss, plan, validate=validate, say=say)
    return history, np.array(values), owns


def value_of(shared: Shared, scenario: Scenario, value: Value) -> float:
    """The validation value of one scenario."""
    return value(scenario.answers, probabilities(shared.one(scenario.name), scenario.asked))


def _stopped_each(
    made: Shared, scenarios: Sequence[Scenario], epoch: int, values: np.ndarray, owns: Owns, *, value: Value
) -> Course:
    """Give each scenario the head of its best epoch with the trunk that was kept; ties go to the trunk's epoch."""
    epochs, best_values = {}, {}
    for number, one in enumerate(scenarios):
        found = [_value_with(made, one, own[one.name], value) for own in owns] if len(scenarios) > 1 else values[:, 0]
        found = np.array(found)
        found[epoch] = values[epoch, number]
        best = epoch if found[epoch] == found.max() else int(found.argmax())
        _put(made, owns[best][one.name])
        epochs[one.name], best_values[one.name] = best, float(found[best])
    return Course(values, epoch, epochs, best_values)


def _value_with(made: Shared, scenario: Scenario, own: Mapping[str, Tensor], value: Value) -> float:
    _put(made, own)
    return value_of(made, scenario, value)


def _put(made: Shared, own: Mapping[str, Tensor]) -> None:
    made.load_state_dict(dict(own), strict=False)


def added(
    shared: Shared, scenario: Scenario, recipe: Recipe, value: Value, *, adapter: int = 32, frozen: bool = True
) -> Shared:
    """A copy that serves one scenario more. Frozen: only the new head, adapter and gate learn, and all others answer as
    before, bit for bit. Else the trunk learns on too, and what the others lose is for the caller to measure.
    """
    made = copy.deepcopy(shared)
    others = {name for other in shared.names for name in own_parts(shared, other)}
    with seeded(recipe.seed):
        made.grow(scenario.name, scenario.n_classes, adapter=adapter if frozen else 0)
        for module in made.modules():
            if isinstance(module, nn.Dropout):
                module.p = recipe.dropout
    if frozen:
        only_own(made, scenario.name)
    else:
        made.requires_grad_(requires_grad=True)
        for name, weight in made.named_parameters():
            weight.requires_grad_(not name.startswith("log_variances") and name not in others)
    _trained(made, [scenario], Sharing(), recipe, value, say=None)
    return made


def share_kept(
    base: Base,
    scenarios: Sequence[Scenario],
    sharing: Sharing,
    recipe: Recipe,
    value: Value,
    *,
    rows: str,
    **options: Any,
) -> tuple[Shared, Course]:
    """`share`, or its weights and course from the store (kept.py). rows: a digest of the texts and labels."""
    about = {
        "task": "scenarios", "rows": rows, "names": [one.name for one in scenarios], "value": value.__name__,
        "base": [base.model, base.frozen, base.max_tokens, base.precision],
        "sharing": asdict(sharing), "recipe": asdict(recipe),
    }  # fmt: skip
    found = kept(about, lambda _: _flat(*share(base, scenarios, sharing, recipe, value)), modules=STORED, **options)
    weights = {name.removeprefix("weights/"): array for name, array in found.items() if name.startswith("weights/")}
    made = new_shared(base, {one.name: one.n_classes for one in scenarios}, dropout=recipe.dropout, **sharing.parts)
    names = [one.name for one in scenarios]
    epochs = dict(zip(names, found["own_epochs"].tolist(), strict=True))
    values = dict(zip(names, found["own_values"].tolist(), strict=True))
    return with_weights(made, weights), Course(found["values"], int(found["epoch"][0]), epochs, values)


def _flat(shared: Shared, course: Course) -> Arrays:
    found = {f"weights/{name}": array for name, array in weights_of(shared).items()}
    epochs, values = (np.array([*each.values()]) for each in (course.own_epochs, course.own_values))
    return found | {
        "values": course.values, "epoch": np.array([course.epoch]), "own_epochs": epochs, "own_values": values
    }  # fmt: skip
