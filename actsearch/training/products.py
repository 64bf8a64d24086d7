"""Products of stacks of matrices on the CPU, by the library that is fastest at them.

torch multiplies with MKL, which keeps its AVX-512 kernels for Intel's processors: on AMD's a core reaches less than
half of its rate. NumPy's OpenBLAS has such kernels for all. Measured on a core of an AMD EPYC (Zen 5), 64 products of
64 x 64 matrices in float32: MKL 94, OpenBLAS 239 (of a gradient by weights 129) billion operations a second.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_info
from torch import Tensor

from actsearch.processor import is_amd_with_avx512

_AVX512_KERNELS = frozenset({"SkylakeX", "Cooperlake", "SapphireRapids"})


def affine(weight: Tensor, x: Tensor, bias: Tensor | None) -> Tensor:
    """Each trial's `weight @ x + bias`: (K, out, in), (K, in, n), (K, out) -> (K, out, n).

    The leading axis may be missing in all.
    """
    if _suits_openblas(x):
        return affine_by_openblas(weight, x, bias)
    if bias is None:
        return weight @ x
    if x.dim() == 2:
        return torch.addmm(bias.unsqueeze(-1), weight, x)
    return torch.baddbmm(bias.unsqueeze(-1), weight, x)


def affine_by_openblas(weight: Tensor, x: Tensor, bias: Tensor | None) -> Tensor:
    """The same by NumPy's library, for tensors on the CPU."""
    return cast("Tensor", _Affine.apply(weight, x, bias))  # type: ignore[no-untyped-call]


def multiplies_by_openblas() -> bool:
    """Whether products in float32 on the CPU are OpenBLAS's in this process, as its threads are now."""
    return torch.get_num_threads() == 1 and _openblas_is_faster()


@cache
def _openblas_is_faster() -> bool:
    """NumPy's OpenBLAS is told what the processor can do: see `processor.blas_environment`."""
    pools = [pool for pool in threadpool_info() if pool["internal_api"] == "openblas"]
    ready = [pool["num_threads"] == 1 and pool["architecture"] in _AVX512_KERNELS for pool in pools]
    return is_amd_with_avx512() and bool(ready) and all(ready)


def _suits_openblas(x: Tensor) -> bool:
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return plain and multiplies_by_openblas()


class _Affine(torch.autograd.Function):
    """As one operation: an addition of its own would be one more pass over memory, forward and backward."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight, x)
        product = _product(weight, x)
        return product if bias is None else product.add_(bias.unsqueeze(-1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        weight, x = ctx.saved_tensors
        of_weight, of_x, of_bias = ctx.needs_input_grad
        product = torch.matmul if torch.is_grad_enabled() else _product  # derivatives of derivatives: torch's
        return (
            product(gradient, x.mT) if of_weight else None,
            product(weight.mT, gradient) if of_x else None,
            gradient.sum(-1) if of_bias else None,
        )


def _product(a: Tensor, b: Tensor) -> Tensor:
    out = a.new_empty(*a.shape[:-1], b.shape[-1])
    with np.errstate(all="ignore"):  # a trial that diverges is found by its loss
        np.matmul(_array(a), _array(b), out=out.numpy())
    return out


def _array(x: Tensor) -> NDArray[Any]:
    """Without copying, if BLAS takes it as it lies: rows or columns one after another."""
    row, column = x.stride()[-2:]
    lies_well = (column == 1 and row >= x.shape[-1]) or (row == 1 and column >= x.shape[-2])
    return (x if lies_well else x.contiguous()).detach().numpy()
