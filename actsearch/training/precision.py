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

    With TF32, convolutions in groups (a stack's) and plain ones (one alone) differ by 1e-3, so a trial's numbers would
    depend on its companions. What the user has chosen is put back.
    """
    cudnn = torch.backends.cudnn
    products, convolutions = _told(torch.get_float32_matmul_precision), _told(lambda: cudnn.allow_tf32)
    each = [place.fp32_precision for place in _operations()]
    # By the old names first: torch's compiler asks for these, and an answer that the new ones contradict is an error.
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32 = False
    for place in _operations():
        place.fp32_precision = "ieee"
    try:
        yield
    finally:
        if products is not None:
            torch.set_float32_matmul_precision(products)
        if convolutions is not None:
            cudnn.allow_tf32 = convolutions
        for place, value in zip(_operations(), each, strict=True):
            place.fp32_precision = value


def takes_tf32() -> bool:
    """Whether a GPU would multiply or convolve float32 numbers as TF32 now."""
    if places := _operations():
        return any(place.fp32_precision == "tf32" for place in places)
    return bool(torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32)


def _operations() -> list[Any]:
    """Where torch keeps the choice for each kind of operation; none before torch 2.9."""
    cudnn = torch.backends.cudnn
    return [cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul] if hasattr(cudnn, "conv") else []


def _told(ask: Callable[[], Any]) -> Any:
    """What an old name says; None where new names were used in a way that it cannot tell."""
    try:
        return ask()
    except RuntimeError:
        return None


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
