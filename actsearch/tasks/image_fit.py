"""Fitting a photo: a network that turns a place into its colour (implicit neural representation).

Reference: Sitzmann et al., "Implicit Neural Representations with Periodic Activation Functions",
https://arxiv.org/abs/2006.09661.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.schemas import Direction, ParameterInfo
from actsearch.tasks.declaration import Dataset, Part, Task, register
from actsearch.tasks.regression import mean_squared_error, stacked_squared_error
from actsearch.tasks.splits import SPLIT_SEED, split_indices

_PHOTO = ParameterInfo(
    name="photo", type="choice", default="china", choices=["china", "flower"], description="Which of the two photos."
)
_SIZE = ParameterInfo(
    name="size",
    type="int",
    default=48,
    low=8,
    high=128,
    description="Detail: the photo is reduced to size² pixels.",
)


def photo_samples(photo: str, size: int) -> tuple[Tensor, Tensor]:
    """Coordinates (N, 2) in [-1, 1] (row, column) and colours (N, 3) of a photo, N = (2 size)².

    The photo is reduced to `size` x `size` and read from the smooth (bicubic) surface through those pixels, at twice
    their density. So the colours at held-out places follow from those at the others: what a network gets wrong there
    is what it did not represent, not what nobody could know.
    """
    from sklearn.datasets import load_sample_image

    pixels = torch.from_numpy(np.array(load_sample_image(f"{photo}.jpg"))).permute(2, 0, 1)[None] / 255  # (1, 3, H, W)
    small = F.interpolate(pixels, (size, size), mode="area")
    surface = F.interpolate(small, scale_factor=2, mode="bicubic", align_corners=False)  # (1, 3, 2 size, 2 size)
    centres = (torch.arange(2 * size) + 0.5) / size - 1
    coordinates = torch.cartesian_prod(centres, centres)
    return coordinates, surface[0].flatten(1).T.contiguous()


def image_metrics(outputs: Tensor, part: Part) -> dict[str, Tensor]:
    """Peak signal-to-noise ratio in dB, 10 log10(1 / mse), and mse, of colours (N, 3) whose peak is 1."""
    mse = F.mse_loss(outputs, part[1])
    return {"psnr": -10 * torch.log10(mse.clamp_min(1e-20)), "mse": mse}


def _load(photo: str = "china", size: int = 48, split_seed: int = 0) -> Dataset:
    x, y = photo_samples(photo, size)
    train, validation, test = (torch.from_numpy(part) for part in split_indices(len(x), (0.2, 0.2), split_seed))
    return Dataset(
        train=(x[train], y[train]),
        validation=(x[validation], y[validation]),
        test=(x[test], y[test]),
        input_kind="coordinates",
        input_shape=(2,),
        outputs=3,
    )


register(
    Task(
        name="image_fit",
        description="Colour of a photo at a place: how well a network represents the photo between the given pixels.",
        kind="implicit",
        load=_load,
        loss=mean_squared_error,
        stacked_loss=stacked_squared_error,
        metrics=image_metrics,
        metric="psnr",
        directions={"psnr": Direction.maximize, "mse": Direction.minimize},
        source=(
            "Photos of scikit-learn, reduced in size, CC BY 2.0, https://creativecommons.org/licenses/by/2.0/: "
            "china.jpg by danielbuechele, https://www.flickr.com/photos/danielbuechele/6061409035/; "
            "flower.jpg by vultilion, https://www.flickr.com/photos/vultilion/6056698931/"
        ),
        parameters=(_PHOTO, _SIZE, SPLIT_SEED),
    )
)
