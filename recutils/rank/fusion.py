"""Fusing what several sources say of items, and doing without one: early as vectors, late as scores.

A source is a block (n_items, d) in item order; a zero row means that it knows nothing of the item. Ranks are fused in
`fuse`, fitted models in `blend`; no model is fitted to events here.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from recutils.model.content import ridge
from recutils.tables import Problem

Blocks = Mapping[str, np.ndarray]
Shares = Mapping[str, float]
WAYS = ("zeros", "mean", "ridge")


def known(block: np.ndarray) -> np.ndarray:
    """(n_items,) bool, True where the source says anything of the item."""
    return (block != 0).any(axis=1)


def usable(blocks: Blocks) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The sources that know at least one item, and the names of those that know none, to be told to the reader.

    Raises Problem when no source is left, and for blocks that differ in length or hold NaN or infinity.
    """
    _check_blocks(blocks)
    kept = {name: block for name, block in blocks.items() if known(block).any()}
    if not kept:
        raise Problem(f"every source is missing for every item: {list(blocks)}. Use popularity, which needs none.")
    return kept, tuple(name for name in blocks if name not in kept)


def scaled(block: np.ndarray) -> np.ndarray:
    """The block float32 with a mean squared row length of 1 over the items it knows, so that shares mean the same.

    Raises Problem when it knows no item.
    """
    rows = known(block)
    if not rows.any():
        raise Problem("the source is missing for every item, so it has no scale. Leave it out: fusion.usable does.")
    return (block / np.sqrt((block[rows].astype(np.float64) ** 2).sum(axis=1).mean())).astype(np.float32)


def stacked(blocks: Blocks, shares: Shares) -> np.ndarray:
    """Early fusion: the blocks side by side, (n_items, sum of d) float32, each times the root of its share.

    With the root, the likeness of two items is the shares' sum of the sources' likenesses. A share of 0 leaves the
    source out. Raises Problem when names differ, a share is negative, or none is above 0.
    """
    _check_blocks(blocks)
    _check_shares(blocks, shares)
    return np.hstack([np.sqrt(shares[name]) * block for name, block in blocks.items() if shares[name] > 0]).astype(
        np.float32
    )


def hidden(blocks: Blocks, gaps: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The blocks with zero rows where `gaps` (source -> (n_items,) bool) says that a source is missing."""
    return {name: np.where(gaps[name][:, None], 0, block) if name in gaps else block for name, block in blocks.items()}


def filled(blocks: Blocks, gaps: Mapping[str, np.ndarray], how: str, *, penalty: float = 1.0) -> dict[str, np.ndarray]:
    """The blocks with something in the place of what is missing; what a gap hides is never read.

    gaps: source -> (n_items,) bool, True where it is missing. how: "zeros"; "mean", of the items that have the source;
    "ridge", what the other sources let expect, learnt on these items (gaps of the others hold their mean).
    Raises Problem for another `how` and when no item has a source that must be filled by its mean.
    """
    if how not in WAYS:
        raise Problem(f"how must be one of {', '.join(WAYS)}; got {how!r}")
    _check_blocks(blocks)
    if how == "zeros":
        return hidden(blocks, gaps)
    levels = {name: _levelled(name, block, gaps.get(name)) for name, block in blocks.items()}
    if how == "mean" or len(blocks) == 1:
        return levels
    return {name: _expected(name, levels, gaps.get(name), penalty) for name in blocks}


def _levelled(name: str, block: np.ndarray, gap: np.ndarray | None) -> np.ndarray:
    """The block with the mean of its other rows in the gap."""
    if gap is None or not gap.any():
        return block
    if gap.all():
        raise Problem(f"{name!r} is missing for every item: there is no mean and nothing to learn from. Leave it out.")
    return np.where(gap[:, None], block[~gap].mean(axis=0), block).astype(np.float32)


def _expected(name: str, levels: Blocks, gap: np.ndarray | None, penalty: float) -> np.ndarray:
    """The block with what a ridge regression on the other blocks expects in the gap."""
    own = levels[name]
    if gap is None or not gap.any():
        return own
    others = np.hstack([block for other, block in levels.items() if other != name])
    weights, level = ridge(others[~gap], own[~gap], penalty)
    return np.where(gap[:, None], others @ weights + level, own).astype(np.float32)


def ridge_for_gaps(
    vectors: np.ndarray, targets: np.ndarray, reg: float, widths: Sequence[int], missing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Ridge weights (d, f) and intercept (f,) for a world where each source is missing with probability `missing`.

    vectors: (n, d), the sources side by side, `widths` columns each; missing columns hold their mean. This is
    training with whole sources dropped at random (Neverova et al. 2016, ModDrop), with the mean over all draws taken in
    closed form, as Chen et al. 2012 do for single inputs; 0 is `ridge`. Raises Problem unless 0 <= missing < 1 and the
    widths sum to d.
    """
    if not 0 <= missing < 1 or sum(widths) != vectors.shape[1]:
        raise Problem(
            f"expected missing in 0..1 (1 excluded) and widths that sum to {vectors.shape[1]}; got {missing}, {widths}"
        )
    vectors, targets = vectors.astype(np.float64), targets.astype(np.float64)
    centre, level = vectors.mean(axis=0), targets.mean(axis=0)
    rest, source = vectors - centre, np.repeat(np.arange(len(widths)), widths)
    there = np.where(source[:, None] == source, 1 - missing, (1 - missing) ** 2)
    gram = there * (rest.T @ rest) + reg * np.eye(len(centre))
    weights = np.linalg.solve(gram, (1 - missing) * (rest.T @ (targets - level)))
    return weights.astype(np.float32), (level - centre @ weights).astype(np.float32)


def late(scores: Blocks, shares: Shares, knows: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
    """Late fusion (n_users, n_items) float32: the mean of the sources' standardised scores, weighted by share.

    scores: source -> (n_users, n_items). knows: source -> (n_items,) bool, False where the source says nothing of an
    item; its share then goes to the other sources of that item. Each source is standardised within the user over the
    items it knows. An item that no source knows gets 0, the user's mean. Raises Problem when names or shapes differ, a
    share is negative or none above 0, or no source with a share knows any item.

    >>> late({"a": np.array([[0.0, 2.0]]), "b": np.array([[5.0, 1.0]])}, {"a": 3, "b": 1}).tolist()
    [[-0.5, 0.5]]
    """
    _check_shares(scores, shares)
    _check_blocks(scores)
    knows = knows or {}
    asked = [name for name, share in shares.items() if share > 0]
    there = {name: np.broadcast_to(knows.get(name, True), scores[name].shape[1]) for name in asked}
    if not any(mask.any() for mask in there.values()):
        raise Problem(f"no source with a share knows any item: {asked}. Use popularity, which needs none.")
    total = sum(shares[name] * _standardised(scores[name], there[name]) for name in asked)
    weight = sum(shares[name] * there[name].astype(np.float64) for name in asked)
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 0).astype(np.float32)


def _standardised(scores: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Scores less the row's mean over the known columns, over their deviation; 0 where unknown or all equal."""
    found = np.zeros(scores.shape)
    if there.any():
        rest = scores[:, there] - scores[:, there].mean(axis=1, keepdims=True, dtype=np.float64)
        spread = rest.std(axis=1, keepdims=True)
        found[:, there] = np.divide(rest, spread, out=np.zeros_like(rest), where=spread > 1e-12)
    return found


def menu_of_shares(names: Sequence[str], steps: int = 4) -> list[dict[str, float]]:
    """Every way to share 1 among the sources in steps of 1/steps, single sources included; evenly spread ones first.

    >>> menu_of_shares(["a", "b"], 2)
    [{'a': 0.5, 'b': 0.5}, {'a': 0.0, 'b': 1.0}, {'a': 1.0, 'b': 0.0}]
    """
    if not names or steps < 1:
        raise Problem(f"expected at least one source and 1 step or more; got {list(names)} and {steps}")
    bars = combinations(range(steps + len(names) - 1), len(names) - 1)
    cuts = [np.diff([-1, *bar, steps + len(names) - 1]) - 1 for bar in bars]
    spread = sorted(cuts, key=lambda cut: (float((cut**2).sum()), tuple(cut)))
    return [dict(zip(names, (cut / steps).tolist(), strict=True)) for cut in spread]


def _check_blocks(blocks: Blocks) -> None:
    shapes = {name: block.shape for name, block in blocks.items()}
    if not blocks or len({shape[0] for shape in shapes.values()}) > 1:
        raise Problem(f"expected at least one source, all with one length; got {shapes}")
    broken = [name for name, block in blocks.items() if not np.isfinite(block).all()]
    if broken:
        raise Problem(f"{broken} hold NaN or infinity. Make what is missing a zero row.")


def _check_shares(blocks: Blocks, shares: Shares) -> None:
    if set(blocks) != set(shares):
        raise Problem(f"each source needs one share; sources {sorted(blocks)}, shares {sorted(shares)}")
    if min(shares.values(), default=0) < 0 or not sum(shares.values()) > 0:
        raise Problem(f"shares must be 0 or more and one above 0; got {dict(shares)}")
