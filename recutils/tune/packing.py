"""Several beginnings with their endings in one row of tokens: an ending sees its beginning and itself. No model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Shape = tuple[int, tuple[int, ...]]  # tokens of a beginning, and of each of its endings
ROW = 256  # tokens of a row: the fastest of 64 to 512 on two cores; more make the attention mask dear


@dataclass(frozen=True, eq=False)
class Layout:
    """Where everything stands in a row of n tokens, before which `before` tokens were read that all may see.

    positions: (n,), as if each ending followed its beginning at once. mask: (n, before + n) bool, True where a token
    looks. begins, endings: the places of each text.
    """

    positions: Tensor
    mask: Tensor
    begins: tuple[slice, ...]
    endings: tuple[tuple[slice, ...], ...]

    def __len__(self) -> int:
        return len(self.positions)


def layout(shapes: Sequence[Shape], before: int = 0) -> Layout:
    """The layout of beginnings and endings in a row: begin, its endings, the next begin, and so on."""
    pieces: list[tuple[int, int, int, int]] = []  # owner, branch (0 is the beginning), first position, tokens
    for owner, (n_begin, endings) in enumerate(shapes):
        pieces.append((owner, 0, before, n_begin))
        pieces.extend((owner, 1 + place, before + n_begin, n) for place, n in enumerate(endings))
    owners, branches = (torch.cat([torch.full((p[3],), p[column]) for p in pieces]) for column in (0, 1))
    positions = torch.cat([torch.arange(first, first + n) for _, _, first, n in pieces])
    own = owners[:, None] == owners[None]
    own &= (branches[None] == 0) | (branches[:, None] == branches[None])
    own &= torch.ones(len(own), len(own), dtype=torch.bool).tril()
    mask = torch.cat([torch.ones(len(own), before, dtype=torch.bool), own], dim=1)
    stops = torch.tensor([piece[3] for piece in pieces]).cumsum(0).tolist()
    places = iter([slice(stop - piece[3], stop) for stop, piece in zip(stops, pieces, strict=True)])
    found = [(next(places), tuple(next(places) for _ in endings)) for _, endings in shapes]
    return Layout(positions, mask, tuple(begin for begin, _ in found), tuple(endings for _, endings in found))


def rows(shapes: Sequence[Shape], most: int = ROW) -> Iterator[list[int]]:
    """Numbers of the texts, in order, in rows of at most `most` tokens; a longer text has a row of its own."""
    row: list[int] = []
    n_row = 0
    for number, (n_begin, endings) in enumerate(shapes):
        n = n_begin + sum(endings)
        if row and n_row + n > most:
            yield row
            row, n_row = [], 0
        row, n_row = [*row, number], n_row + n
    if row:
        yield row
