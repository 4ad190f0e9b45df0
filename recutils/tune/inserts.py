"""Small trained parts that are put into frozen layers: bottlenecks, prefixes, prompts. peft's: see adapters.py.

Written here because they are a few lines each and no library in the lock puts them into layers that stand alone.
"""

import torch
from torch import Tensor, nn

START = 0.02  # standard deviation of first weights, as BERT's own


class Bottleneck(nn.Module):
    """A linear map followed by an adapter: y + up(relu(down(y))) for y = dense(x); it begins as the map alone.

    Houlsby et al. (2019) put one behind the last map of both halves of a layer, before the residual sum; Pfeiffer et
    al. (2021) behind the second half only.
    """

    def __init__(self, dense: nn.Linear, size: int) -> None:
        super().__init__()
        self.dense = dense
        self.down, self.up = nn.Linear(dense.out_features, size), nn.Linear(size, dense.out_features)
        nn.init.normal_(self.down.weight, std=START)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., d_in) -> (..., d_out)."""
        found = self.dense(hidden)
        return found + self.up(torch.relu(self.down(found)))


class Prefixed(nn.Module):
    """A layer whose attention sees `size` learnt keys and values before those of the text (Li and Liang 2021).

    Departure: the keys and values are learnt directly, without the network that the paper puts before them.
    layer: a BERT layer; its attention is handed the prefix where a decoder would hand it the past.
    """

    def __init__(self, layer: nn.Module, size: int) -> None:
        super().__init__()
        self.layer = layer
        shape = (layer.attention.self.num_attention_heads, size, layer.attention.self.attention_head_size)
        self.keys, self.values = nn.Parameter(torch.empty(shape)), nn.Parameter(torch.zeros(shape))
        nn.init.normal_(self.keys, std=START)

    def update(self, keys: Tensor, values: Tensor, *_: object) -> tuple[Tensor, Tensor]:
        """The prefix before the text's own keys and values (b, heads, length, d); called by the attention."""
        mine = (part.to(keys.dtype).expand(len(keys), -1, -1, -1) for part in (self.keys, self.values))
        return tuple(torch.cat(pair, dim=2) for pair in zip(mine, (keys, values), strict=True))  # type: ignore[return-value]

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """(b, length, d) -> (b, length, d); attention_mask (b, 1, 1, length), True where a token is."""
        return self.layer(hidden, attention_mask=widened(attention_mask, self.keys.shape[1]), past_key_values=self)


class Prompted(nn.Module):
    """Layers that read `size` learnt vectors before the text and leave them away afterwards (Lester et al. 2021).

    Departure: the vectors stand at the input of the tuned layers, not among the word embeddings, since the layers
    below are run once for all methods.
    """

    def __init__(self, layers: nn.ModuleList, size: int, width: int) -> None:
        super().__init__()
        self.layers, self.vectors = layers, nn.Parameter(torch.empty(size, width))
        nn.init.normal_(self.vectors, std=START)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """(b, length, d) -> (b, length, d); attention_mask (b, 1, 1, length)."""
        size = len(self.vectors)
        hidden = torch.cat([self.vectors.to(hidden.dtype).expand(len(hidden), -1, -1), hidden], dim=1)
        for layer in self.layers:
            found = layer(hidden, attention_mask=widened(attention_mask, size))
            hidden = found[0] if isinstance(found, tuple) else found
        return hidden[:, size:]


def widened(mask: Tensor, size: int) -> Tensor:
    """The mask (b, 1, 1, length) with `size` more places in front that everybody may look at."""
    return torch.cat([mask.new_ones(*mask.shape[:-1], size), mask], dim=-1)
