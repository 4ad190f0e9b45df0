"""The network inside SASRec: a small causal transformer over item vectors. No data, no training, no model of ours."""

import math

import torch
from torch import Tensor, nn

START = 0.02  # standard deviation of the first weights of the item table, as in BERT


class Attention(nn.Module):
    """Each position mixes the values of itself and the positions before it: causal self-attention in a few lines."""

    def __init__(self, factors: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, nn.Dropout(dropout)
        self.query, self.key, self.value, self.out = (nn.Linear(factors, factors) for _ in range(4))

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """hidden (n, length, factors), mask (n, length, length), True where looked at: the mix, and the weights."""
        query, key, value = (self._split(part(hidden)) for part in (self.query, self.key, self.value))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        weights = scores.masked_fill(~mask[:, None], -math.inf).softmax(-1)
        mixed = (self.dropout(weights) @ value).transpose(1, 2).flatten(2)
        return self.out(mixed), weights

    def _split(self, hidden: Tensor) -> Tensor:
        """(n, length, factors) as (n, heads, length, factors / heads)."""
        return hidden.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """Attention, then a small network for each position, each added to what came in after a norm of it (pre-norm)."""

    def __init__(self, factors: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(factors, heads, dropout)
        self.first, self.second = nn.LayerNorm(factors), nn.LayerNorm(factors)
        self.think = nn.Sequential(nn.Linear(factors, factors), nn.GELU(), nn.Dropout(dropout))
        self.out, self.dropout = nn.Linear(factors, factors), nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The next layer's hidden states, and this layer's attention weights (n, heads, length, length)."""
        mixed, weights = self.attention(self.first(hidden), mask)
        hidden = hidden + self.dropout(mixed)
        return hidden + self.dropout(self.out(self.think(self.second(hidden)))), weights


class Network(nn.Module):
    """Items in, a guess of the next item's vector out, at every position.

    table: (n_items, factors), the first item vectors, which are then learnt. vectors: (n_items, d) frozen item vectors
    in its place, of which only a projection (d to factors) is learnt.
    """

    def __init__(
        self, table: Tensor, vectors: Tensor | None, length: int, *, blocks: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        factors = table.shape[1]
        self.table = nn.Parameter(table.clone()) if vectors is None else None
        self.register_buffer("vectors", vectors, persistent=False)
        self.project = None if vectors is None else nn.Linear(vectors.shape[1], factors, bias=False)
        if self.project is not None:
            nn.init.normal_(self.project.weight, std=START / math.sqrt(vectors.shape[1]))
        self.position = nn.Parameter(START * torch.randn(length, factors))
        self.blocks = nn.ModuleList(Block(factors, heads, dropout) for _ in range(blocks))
        self.norm, self.dropout = nn.LayerNorm(factors), nn.Dropout(dropout)

    def items(self) -> Tensor:
        """The vector of every item (n_items, factors), of inputs and outputs alike."""
        return self.table if self.project is None else self.project(self.vectors)

    def forward(self, read: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """read (n, length) item rows, -1 for none: hidden states (n, length, factors), last layer's attention."""
        there = read >= 0
        hidden = items[read.clamp(min=0)] * math.sqrt(items.shape[1]) + self.position
        hidden, mask = self.dropout(hidden) * there[..., None], causal_mask(there)
        weights = torch.empty(0)
        for block in self.blocks:
            hidden, weights = block(hidden, mask)
        return self.norm(hidden), weights


def causal_mask(there: Tensor) -> Tensor:
    """Bool (n, length, length): True where row's position may look at column's, which is no filling and not later.

    A position always sees itself, so that filling has something to look at; nobody reads what it makes of it.

    >>> causal_mask(torch.tensor([[False, True, True]])).int()[0].tolist()
    [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    """
    length = there.shape[1]
    past = torch.ones(length, length, dtype=torch.bool).tril()
    return (past & there[:, None, :]) | torch.eye(length, dtype=torch.bool)
