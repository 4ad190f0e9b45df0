"""All weights of a network as one array and back, for `Model.save`. Nothing is trained here."""

import numpy as np
import torch
from torch import nn

from recutils.tables import Problem


def flat_weights(module: nn.Module) -> np.ndarray:
    """All weights of a module's state, in its order, as one array (n,) float32: what `Model.save` keeps of it."""
    parts = [tensor.detach().cpu().float().numpy().ravel() for tensor in module.state_dict().values()]
    return np.concatenate(parts).astype(np.float32)


def with_flat_weights(module: nn.Module, weights: np.ndarray) -> nn.Module:
    """The module with the weights that `flat_weights` took of its like, in evaluation mode. Raises Problem on size."""
    state = module.state_dict()
    if weights.shape != ((size := sum(tensor.numel() for tensor in state.values())),):
        raise Problem(f"this network has {size} weights; got an array of shape {weights.shape}. Check its parameters.")
    cuts = np.cumsum([tensor.numel() for tensor in state.values()])[:-1]
    parts = zip(state.items(), np.split(weights, cuts), strict=True)
    module.load_state_dict({name: torch.from_numpy(part.copy()).view(old.shape) for (name, old), part in parts})
    return module.eval()
