"""Linear layers in eight bits: our own, on the processor's int8 kernels, and torchao's. No encoder, no files here.

Weights are whole numbers in -127..127 with one factor for each output; inputs are rounded as they come (dynamic), with
one factor and one offset for the whole batch. So a text's vector depends a little on its company in the batch.
"""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from recutils.encode.checkpoint import quiet

OLD = "(?s).*quantize.*"  # torch announces that its quantised tensors move to torchao, whose kernels are slower here
MOST = 127


class Int8Linear(nn.Module):
    """A linear layer of int8 weights. codes: (out, in) int8, factors: (out,) fp32, bias: (out,) fp32."""

    def __init__(self, codes: Tensor, factors: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("codes", codes)
        self.register_buffer("factors", factors)
        self.register_buffer("bias", bias)
        self._packed: Any = None

    @classmethod
    def of(cls, linear: nn.Linear) -> "Int8Linear":
        """Round a layer's weights: no weight moves by more than half a factor."""
        weight = linear.weight.detach().float()
        factors = (weight.abs().amax(1) / MOST).clamp(min=1e-12)
        bias = torch.zeros(len(weight)) if linear.bias is None else linear.bias.detach().float().clone()
        return cls((weight / factors[:, None]).round().to(torch.int8), factors, bias)

    @classmethod
    def empty(cls, n_in: int, n_out: int) -> "Int8Linear":
        """A layer whose numbers are loaded later."""
        return cls(torch.zeros((n_out, n_in), dtype=torch.int8), torch.zeros(n_out), torch.zeros(n_out))

    @property
    def weight(self) -> Tensor:
        """What the codes stand for: (out, in) fp32."""
        return self.codes.float() * self.factors[:, None]  # type: ignore[operator]

    def forward(self, given: Tensor) -> Tensor:
        """fp32 in, fp32 out; the product itself is of whole numbers."""
        if self._packed is None:
            self._packed = self._pack()
        return torch.ops.quantized.linear_dynamic(given, self._packed, False)

    def _pack(self) -> Any:
        """The weights in the order that this processor's kernel wants; the fp32 copy lives only here."""
        zeros = torch.zeros(len(self.factors), dtype=torch.long)  # type: ignore[arg-type]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=OLD)
            rounded = torch.quantize_per_channel(self.weight, self.factors.double(), zeros, 0, torch.qint8)  # type: ignore[operator]
            return torch.ops.quantized.linear_prepack(rounded, self.bias)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Int8Linear":
        return Int8Linear(*(copy.deepcopy(part, memo) for part in (self.codes, self.factors, self.bias)))


def with_int8(module: nn.Module, make: Callable[[nn.Linear], nn.Module] = Int8Linear.of) -> nn.Module:
    """The module itself, every linear layer in it replaced by what `make` gives for it."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, make(child))
        else:
            with_int8(child, make)
    return module


def as_torchao(module: nn.Module) -> nn.Module:
    """A copy whose linear layers torchao quantises: int8 weights, inputs rounded with one factor for each token."""
    with quiet():
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    made = copy.deepcopy(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # its notes on kernels for graphics cards
        quantize_(made, Int8DynamicActivationInt8WeightConfig())
    return made


def plain(tensor: Tensor) -> Tensor:
    """A tensor that safetensors can hold: torchao's as the fp32 numbers that it stands for, others as they are."""
    found = tensor.detach()
    return found if type(found) is Tensor else found.dequantize()
