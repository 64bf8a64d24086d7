"""Mixed precision: what of a network is computed in which type.

With `bfloat16` networks run under torch's autocast: products and convolutions, and the signals that come out of them,
are bfloat16, forward and backward. Trained numbers, their gradients, outputs, losses and metrics stay float32. With
`float32` all is float32, on every device: torch's own default on a GPU is TF32 (10 bits of mantissa) in convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from actsearch.schemas import Precision

Forward = Callable[..., Tensor]


@contextmanager
def full_float32() -> Iterator[None]:
    """Inside, GPUs multiply and convolve float32 numbers as such, not as TF32.

    With TF32, kernels of convolutions in groups (a stack's) and of plain ones (one alone) differ by 1e-3, so a trial's
    numbers would depend on its companions.
    """
    before = [getattr(place, name) for place, name, _ in _switches()]
    _set([full for _, _, full in _switches()])
    try:
        yield
    finally:
        _set(before)


def takes_tf32() -> bool:
    """Whether a GPU would multiply or convolve float32 numbers as TF32 now."""
    return any(getattr(place, name) != full for place, name, full in _switches())


def _switches() -> list[tuple[Any, str, Any]]:
    """Where torch keeps the choice: object, attribute and what means float32. One may not mix old names and new."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    if hasattr(cudnn, "conv"):  # from torch 2.9 on
        return [(place, "fp32_precision", "ieee") for place in (cudnn.conv, cudnn.rnn, matmul)]
    return [(place, "allow_tf32", False) for place in (cudnn, matmul)]


def _set(values: Sequence[Any]) -> None:
    for (place, name, _), value in zip(_switches(), values, strict=True):
        setattr(place, name, value)


def in_precision(precision: Precision, device: torch.device, forward: Forward, *, vmapped: bool = False) -> Forward:
    """A forward pass with its inside in a precision and its outputs in float32.

    Args:
        vmapped: whether it is called under `vmap`.
    """
    if precision == "float32":
        return forward

    def mixed(*inputs: Any) -> Tensor:
        # Without the cache a weight that is used at many steps gets its gradients added up in float32.
        autocast = torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
        with autocast, _UnderVmap() if vmapped else nullcontext():
            return forward(*inputs).float()

    return mixed


def mixed_under_vmap(device: torch.device) -> AbstractContextManager[Any]:
    """What makes autocast, where it is on, do under `vmap` what it does elsewhere."""
    return _UnderVmap() if torch.is_autocast_enabled(device.type) else nullcontext()


class _UnderVmap(TorchFunctionMode):
    """Does what autocast does elsewhere.

    `vmap` takes operations apart before autocast sees them, which then knows some of the parts only: convolutions
    would stay float32, a bias would widen what comes out of a linear layer, and norms would meet types that differ.
    """

    def __torch_function__(
        self, func: Callable[..., Any], _: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _PRODUCTS:
            args, kwargs = tree_map(_narrow, (args, kwargs))
        elif func in _NORMS and args[0].dtype == torch.bfloat16:
            return func(args[0].float(), *args[1:], **kwargs).bfloat16()
        return func(*args, **kwargs)


_PRODUCTS = frozenset(
    {
        F.linear,
        F.bilinear,
        F.conv1d,
        F.conv2d,
        F.conv3d,
        F.conv_transpose1d,
        F.conv_transpose2d,
        F.conv_transpose3d,
        F.scaled_dot_product_attention,
        torch.addmm,
        torch.baddbmm,
        torch.bmm,
        torch.einsum,
        torch.matmul,
        torch.mm,
        Tensor.bmm,
        Tensor.matmul,
        Tensor.mm,
        Tensor.__matmul__,
        Tensor.__rmatmul__,
    }
)
_NORMS = frozenset({F.batch_norm, F.group_norm, F.instance_norm, F.layer_norm, F.rms_norm})


def _narrow(value: Any) -> Any:
    return value.bfloat16() if isinstance(value, Tensor) and value.dtype == torch.float32 else value
