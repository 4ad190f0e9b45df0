"""Students that learn a teacher's vectors from texts alone, and the tuning that makes the teacher. Nothing is judged.

A student never meets a label: its goal is the teacher's vector of each text (Hinton et al. 2015 for the idea; Reimers
and Gurevych 2020 for vectors as the goal). Trainings are kept and go on where they were killed (tune/kept.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from recutils.deploy.compact import Compact, Table
from recutils.deploy.compress import with_layers
from recutils.encode.encoder import padded
from recutils.model.plan import History
from recutils.model.training import Batches, Loss, seeded, train
from recutils.tables import Problem
from recutils.tune.classifier import Recipe
from recutils.tune.domain import Upper
from recutils.tune.kept import MODULES, Arrays, digest, kept
from recutils.tune.states import Base, autocast, shuffled, states_of

if TYPE_CHECKING:
    from transformers import BertModel

CODE = (
    *MODULES,
    "recutils.tune.domain",
    "recutils.deploy.compact",
    "recutils.deploy.compress",
    "recutils.deploy.distil",
)


def tuned(base: Base, texts: Sequence[str], alike: np.ndarray, recipe: Recipe) -> tuple["BertModel", History]:
    """The base's model with its upper layers tuned so that cosines of texts follow `alike`.

    alike: (n, n) float32, -1..1, such as cosines of the items' factors: behaviour taught to the text encoder. The
    loss is the mean squared difference over all pairs of a batch.
    """
    if alike.shape != (len(texts), len(texts)):
        raise Problem(f"alike must be ({len(texts)}, {len(texts)}), one row and column a text; got {alike.shape}")
    _, model = base.load()

    def make(folder: Path) -> Arrays:
        states, goal = states_of(base, texts), torch.from_numpy(np.ascontiguousarray(alike, dtype=np.float32))
        with seeded(recipe.seed):
            upper = Upper(model, base)

        def batches(_: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
            for rows in shuffled(states.lengths, recipe.batch, rng):
                if len(rows) > 1:
                    yield torch.from_numpy(rows), *states.batch(rows)

        def loss(module: nn.Module, rows: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
            return pair_loss(_mean(module(hidden, mask), mask), goal[rows][:, rows])

        return _trained(upper, batches, loss, recipe, n_rows=len(texts), folder=folder)

    about = {"what": "tuned", "base": asdict(base), "recipe": asdict(recipe), "texts": digest(list(texts))}
    found = kept(about | {"alike": digest(alike)}, make, modules=CODE)
    upper = Upper(model, base)
    history = _restored(upper, found)
    with torch.no_grad():
        model.encoder.layer[base.frozen :].load_state_dict(upper.layers.state_dict())
    return model, history


def pair_loss(vectors: Tensor, alike: Tensor) -> Tensor:
    """Mean squared difference of the vectors' cosines (b, b) and the wanted ones, a vector with itself left out."""
    unit = nn.functional.normalize(vectors, dim=1)
    apart = ~torch.eye(len(unit), dtype=torch.bool)
    return (unit @ unit.T - alike)[apart].square().mean()


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    inside = mask.unsqueeze(-1)
    return (hidden * inside).sum(1) / inside.sum(1)


def vector_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean of one minus the cosine, and the mean squared difference of all cosines within the batch.

    The first puts each vector in its place; the second keeps who is near whom, which is what a ranking reads.
    """
    own = 1 - nn.functional.cosine_similarity(made, wanted, dim=1).mean()
    wanted = nn.functional.normalize(wanted, dim=1)
    return own + pair_loss(made, wanted @ wanted.T)


def layer_student(
    teacher: Compact,
    layers: Sequence[int],
    texts: Sequence[str],
    goal: np.ndarray,
    recipe: Recipe,
    *,
    precision: str = "fp32",
) -> tuple[Compact, History]:
    """A student of a few layers, which begins as these layers of the teacher; its embeddings stay the teacher's.

    goal: the teacher's vectors (n, d) of these texts. precision: of the products in training, "bf16" or "fp32"; the
    student itself is fp32.
    """
    student = with_layers(teacher, layers)
    for name, weight in student.module.named_parameters():
        weight.requires_grad = ".embeddings." not in name

    def loss(part: nn.Module, wanted: Tensor, numbers: Tensor, mask: Tensor) -> Tensor:
        with autocast(precision):
            made = part(numbers, mask)
        return vector_loss(made.float(), wanted)

    return student, _taught(student, texts, goal, recipe, loss, precision=precision)


def table_student(teacher: Compact, texts: Sequence[str], goal: np.ndarray, recipe: Recipe) -> tuple[Compact, History]:
    """A student that is one table: a row for each token, a text's vector is their mean. goal: as `layer_student`.

    It begins with the teacher's vector of each token that the texts hold, read alone and weighted by how rare it is
    (as model2vec, 2024, begins). Tokens that no text holds get a row of zeros, so that they say nothing.
    """
    tokens = teacher.tokens(texts)
    used = np.unique(np.concatenate([np.unique(row) for row in tokens]))
    small = Compact(teacher.tokenizer, Table(torch.from_numpy(_first_rows(teacher, tokens, used))))
    places = np.full(teacher.tokenizer.get_vocab_size(), -1, dtype=np.int64)
    places[used] = np.arange(len(used))  # only rows in use are trained

    def loss(part: nn.Module, wanted: Tensor, numbers: Tensor, mask: Tensor) -> Tensor:
        return vector_loss(part(numbers, mask), wanted)

    short = small.but(kept=places, max_tokens=teacher.max_tokens)
    history = _taught(short, texts, goal, recipe, loss)
    rows = torch.zeros(len(places), small.module.rows.shape[1])
    rows[torch.from_numpy(used)] = short.module.rows.detach()
    return short.but(module=Table(rows), kept=None), history


def _first_rows(teacher: Compact, tokens: Sequence[Sequence[int]], used: np.ndarray) -> np.ndarray:
    """The teacher's vectors (n_used, d) of single tokens, each times log((1 + n) / n texts that hold it)."""
    first, last = tokens[0][0], tokens[0][-1]  # what the tokenizer puts around each text
    parts = np.split(used, range(256, len(used), 256))
    alone = np.concatenate([teacher.forward([[first, int(token), last] for token in part]) for part in parts])
    held = np.bincount(np.concatenate([np.unique(row) for row in tokens]), minlength=used.max() + 1)[used]
    return (alone * np.log((1 + len(tokens)) / held)[:, None]).astype(np.float32)


def _taught(
    student: Compact, texts: Sequence[str], goal: np.ndarray, recipe: Recipe, loss: Loss, **about: Any
) -> History:
    """Train the student's module in place towards the goal (n, d). Raises Problem when it has not one row a text."""
    if len(goal) != len(texts):
        raise Problem(f"goal must have one row for each of {len(texts)} texts; got {goal.shape}")

    def make(folder: Path) -> Arrays:
        tokens, wanted = student.tokens(texts), torch.from_numpy(goal)
        lengths = np.array([len(row) for row in tokens])

        def batches(_: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
            for rows in shuffled(lengths, recipe.batch, rng):
                if len(rows) > 1:
                    yield wanted[rows], *(torch.from_numpy(table) for table in padded([tokens[row] for row in rows]))

        return _trained(student.module, batches, loss, recipe, n_rows=len(texts), folder=folder)

    told = {"start": fingerprint(student), "texts": digest(list(texts)), "goal": digest(goal)}
    return _restored(student.module, kept({**about, **told, "recipe": asdict(recipe)}, make, modules=CODE))


def fingerprint(given: Compact) -> str:
    """16 hex digits of an encoder's numbers and settings: what stands for it in a key."""
    parts = [tensor.float().numpy() for tensor in given.module.state_dict().values()]
    return digest(given.precision, given.max_tokens, *parts)


def _trained(
    module: nn.Module, batches: Batches, loss: Loss, recipe: Recipe, *, n_rows: int, folder: Path
) -> Arrays:  # fmt: skip
    kept_in = folder if recipe.epochs > 1 else None  # one epoch leaves nothing to go on from
    history = train(module, batches, loss, recipe.plan(n_rows), checkpoint=kept_in)
    found = {f"weight/{name}": weight.detach().numpy().copy() for name, weight in _trainable(module).items()}
    return found | {"losses": np.array(history.losses)}


def _restored(module: nn.Module, found: Arrays) -> History:
    with torch.no_grad():
        for name, weight in _trainable(module).items():
            weight.copy_(torch.from_numpy(found[f"weight/{name}"]))
    module.eval()
    return History(tuple(found["losses"].tolist()))


def _trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in module.named_parameters() if weight.requires_grad}


def likeness_of(factors: np.ndarray) -> np.ndarray:
    """Cosines (n, n) float32 of items' factors (n, f): what `tuned` is taught. A zero row is like nothing."""
    lengths = np.linalg.norm(factors, axis=1, keepdims=True)
    unit = (factors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit @ unit.T
