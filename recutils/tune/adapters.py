"""Ways to tune an encoder by moving few of its weights: which move, how they are trained, merged and told apart.

M11 of the project. LoRA, DoRA, AdaLoRA and IA3 are peft's, put into the layers of classifier.py in place, so that their
names stay and the head stays outside; bottlenecks, prefixes and prompts are in inserts.py. Several adapters on one base
are in switch.py, costs in cost.py.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from recutils.encode import checkpoint
from recutils.model.plan import History
from recutils.model.training import seeded
from recutils.tables import Problem
from recutils.tune.classifier import Classifier, Recipe, cross_entropy, fit, new_classifier
from recutils.tune.inserts import Bottleneck, Prefixed, Prompted
from recutils.tune.states import Base, States

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SIZED = {  # kind -> what its size counts
    "lora": "rank", "dora": "rank", "adalora": "rank", "bottleneck": "width", "prefix": "vectors",
    "prompt": "vectors", "top": "layers",
}  # fmt: skip
KINDS = ("full", "head", "bitfit", "ia3", *SIZED)
PEFT = ("lora", "dora", "adalora", "ia3")
PLACES = {  # a linear map of a BERT layer by a short name
    "query": r"attention\.self\.query", "key": r"attention\.self\.key", "value": r"attention\.self\.value",
    "attention": r"attention\.output\.dense", "inner": r"intermediate\.dense", "outer": r"output\.dense",
}  # fmt: skip
USUAL = {  # kind -> size, learning rate: where to begin with an encoder of MiniLM's width; not searched
    "full": (1, 2e-4), "top": (1, 4e-4), "head": (1, 1e-3), "bitfit": (1, 4e-3), "ia3": (1, 2e-2), "lora": (8, 2e-3),
    "dora": (8, 2e-3), "adalora": (8, 4e-3), "bottleneck": (16, 2e-3), "prefix": (10, 1e-2), "prompt": (10, 1e-2),
}  # fmt: skip
IA3_PLACES = ("key", "value", "outer")  # Liu et al. (2022): keys, values and the inner numbers of the second half
NAME = "default"  # of the one adapter that is being trained


@dataclass(frozen=True)
class Method:
    """What is trained besides the head. kind: one of KINDS. size: rank, width, vectors or layers (SIZED), else ignored.

    places: linear maps of each layer (PLACES) that get a LoRA, DoRA or AdaLoRA, or ("attention", "outer") for
    bottlenecks; IA3 has its own. scale: LoRA's alpha / rank. AdaLoRA begins with 1.5 times the rank and ends with it on
    average. Raises Problem for an unknown kind or place and for a size below 1.
    """

    kind: str
    size: int = 8
    places: tuple[str, ...] = ("query", "value")
    scale: float = 2.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise Problem(f"kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        if self.size < 1:
            raise Problem(f"{SIZED.get(self.kind, 'size')} must be at least 1; got {self.size}")
        unknown = [place for place in self.places if place not in PLACES]
        if unknown or not self.places:
            raise Problem(f"places are some of {', '.join(PLACES)}; got {unknown or 'none'}")


def usual(kind: str) -> Method:
    """The method with its size of USUAL, on all linear maps of a layer. Raises Problem for an unknown kind."""
    return Method(kind, USUAL.get(kind, (1, 0.0))[0], places=tuple(PLACES))


def adapted(
    base: Base, n_classes: int, method: Method, *, dropout: float = 0.1, model: "PreTrainedModel | None" = None
) -> Classifier:
    """An untrained classifier in which only the method's weights and the head may move.

    Before training it answers like the base (a prefix or prompt apart). Random first weights come from torch's
    generator: call it within `seeded`. Raises Problem when the size does not fit the base.
    """
    made = new_classifier(base, n_classes, dropout=dropout, model=model)
    _check_size(method, len(made.layers), made.head.in_features // 2)
    if method.kind != "full":
        made.layers.requires_grad_(False)
    if method.kind in PEFT:
        inject(made, method)
    elif method.kind in ("bottleneck", "prefix", "prompt"):
        _insert(made, method)
    elif method.kind == "top":
        made.layers[len(made.layers) - method.size :].requires_grad_(True)
    elif method.kind == "bitfit":
        for name, weight in made.layers.named_parameters():
            weight.requires_grad_(name.endswith("bias"))
    made.head.requires_grad_(True)
    return made


def _check_size(method: Method, n_layers: int, width: int) -> None:
    if n_layers == 0 and method.kind not in ("full", "head"):
        raise Problem(f"{method.kind}: all layers are frozen, none is left to move; lower frozen, or train the head.")
    most = n_layers if method.kind == "top" else width
    if method.kind in SIZED and method.size > most:
        raise Problem(f"{method.kind}: {SIZED[method.kind]} may be at most {most} here; got {method.size}")


def inject(made: nn.Module, method: Method, name: str = NAME) -> None:
    """Put one of peft's adapters of this name into the module's layers, in place; all else is frozen."""
    from peft import inject_adapter_in_model

    inject_adapter_in_model(_config(method), made, adapter_name=name)
    del made.peft_config  # else the next adapter warns of this one


def _pattern(places: tuple[str, ...]) -> str:
    """Full names of linear maps: `outer` is not the attention's output.dense, hence the digits before."""
    return rf".*layers\.\d+\.(?:{'|'.join(PLACES[place] for place in places)})"


def _config(method: Method, steps: int = 3) -> Any:
    """peft's configuration. steps: of the whole training; AdaLoRA cuts ranks from a tenth of it to the half."""
    import peft

    where, alpha = _pattern(method.places), round(method.scale * method.size)
    if method.kind == "ia3":
        return peft.IA3Config(target_modules=_pattern(IA3_PLACES), feedforward_modules=_pattern(("outer",)))
    if method.kind == "adalora":
        first = max(method.size + 1, round(1.5 * method.size))
        return peft.AdaLoraConfig(
            init_r=first, target_r=method.size, lora_alpha=alpha, target_modules=where, deltaT=1,
            tinit=steps // 10, tfinal=steps // 2, total_step=steps,
        )  # fmt: skip
    return peft.LoraConfig(r=method.size, lora_alpha=alpha, target_modules=where, use_dora=method.kind == "dora")


def _insert(made: Classifier, method: Method) -> None:
    if method.kind == "prompt":
        made.layers = nn.ModuleList([Prompted(made.layers, method.size, made.head.in_features // 2)])
    elif method.kind == "prefix":
        made.layers = nn.ModuleList([Prefixed(layer, method.size) for layer in made.layers])
    else:
        for layer in made.layers:
            layer.output.dense = Bottleneck(layer.output.dense, method.size)
            layer.attention.output.dense = Bottleneck(layer.attention.output.dense, method.size)


def adapt(
    base: Base,
    states: States,
    labels: np.ndarray,
    recipe: Recipe,
    method: Method,
    *,
    n_classes: int = 2,
    model: "PreTrainedModel | None" = None,
    **options: Any,
) -> Classifier:
    """A classifier with few moving weights, trained; options as in `classifier.fit`.

    AdaLoRA keeps count of importances that no checkpoint holds, so a killed training of it begins anew.
    """
    with seeded(recipe.seed):
        made = adapted(base, n_classes, method, dropout=recipe.dropout, model=model)
    if method.kind == "adalora":
        _fit_adalora(made, states, labels, recipe, method=method, options=options | {"checkpoint": None})
    else:
        fit(made, states, labels, recipe, **options)
    return made


def _fit_adalora(
    made: Classifier, states: States, labels: np.ndarray, recipe: Recipe, *, method: Method, options: Mapping[str, Any]
) -> History:
    """Zhang et al. (2023): the loss keeps the factors orthogonal; after each step the least important ranks go."""
    from peft.tuners.adalora import RankAllocator

    steps = recipe.plan(len(labels)).steps
    if steps < 3:
        raise Problem(f"AdaLoRA needs 3 steps or more to give ranks away; got {steps}. Take more epochs or rows.")
    allocator = RankAllocator(made, _config(method, steps), NAME)
    ordinary = cross_entropy(recipe)

    def loss(module: nn.Module, *batch: Tensor) -> Tensor:
        return ordinary(module, *batch) + 0.5 * off_orthogonal(module)

    with after_steps(lambda step: allocator.update_and_allocate(made, step)):
        return fit(made, states, labels, recipe, loss=loss, **options)


def off_orthogonal(module: nn.Module) -> Tensor:
    """Mean distance of AdaLoRA's A A' and B' B from the unit matrix."""
    found = []
    for name, weight in module.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            product = weight @ weight.T if "lora_A" in name else weight.T @ weight
            found.append(torch.linalg.matrix_norm(product - torch.eye(len(product))))
    return torch.stack(found).mean()


@contextmanager
def after_steps(call: Callable[[int], object]) -> Iterator[None]:
    """Inside, `call` gets the number of each optimiser step (1 first) after it, while its gradients are still there."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    steps = iter(range(1, 10**9))
    handle = register_optimizer_step_post_hook(lambda *_: void(call(next(steps))))
    try:
        yield
    finally:
        handle.remove()


def void(_: object) -> None:
    """Nothing: an optimiser's hook must not return a value."""


def merged(made: Classifier) -> Classifier:
    """A copy in which peft's adapters are added to the weights they belong to: a plain classifier, nothing beside it.

    Raises Problem when there is something that no weight can take in (bottlenecks, prefixes, prompts).
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    found = copy.deepcopy(made)
    kept = {type(module).__name__ for module in found.modules() if isinstance(module, (Bottleneck, Prefixed, Prompted))}
    if kept:
        raise Problem(f"{', '.join(sorted(kept))} cannot be merged: no weight of the base could do its work.")
    for name, module in list(found.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(found.get_submodule(parent), child, module.get_base_layer())
    return found


def mergeable(method: Method) -> bool:
    """Whether `merged` leaves nothing beside the base's own weights."""
    return method.kind not in ("bottleneck", "prefix", "prompt")


def arrays_of(module: nn.Module) -> dict[str, np.ndarray]:
    """The weights that training may move, by name: what `kept` can hold."""
    return {name: w.detach().numpy().copy() for name, w in module.named_parameters() if w.requires_grad}


def put(module: nn.Module, arrays: Mapping[str, np.ndarray]) -> nn.Module:
    """Weights back into a module of the same make, in evaluation mode; other names in `arrays` are passed over."""
    mine = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    missing = sorted(mine.keys() - arrays.keys())
    if missing:
        raise Problem(f"{len(missing)} weights are missing, {missing[0]} first; give those of the same method.")
    with torch.no_grad():
        for name, weight in mine.items():
            weight.copy_(torch.from_numpy(arrays[name]))
    return module.eval()


def about_adapter(base: Base, method: Method, classes: tuple[str, ...]) -> dict[str, Any]:
    """What a stored adapter belongs to, for kept.save_weights and load_weights: the base's content, not its folder."""
    found = checkpoint.find(base.model)
    return {
        "base": found.hash, "frozen": base.frozen, "max_tokens": base.max_tokens,
        "method": asdict(method) | {"places": list(method.places)}, "classes": list(classes),
    }  # fmt: skip


def n_encoder(base: Base, model: "PreTrainedModel | None" = None) -> int:
    """Numbers in the whole encoder, token embeddings among them; a pooling layer that nobody reads is not counted."""
    weights = (model or base.load()[1]).named_parameters()
    return sum(weight.numel() for name, weight in weights if not re.match(r"pooler\.", name))
