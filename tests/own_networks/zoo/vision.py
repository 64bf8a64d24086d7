"""Models of pictures from transformers and MONAI: classes, boxes, masks, and what belongs to a caption."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.declaration import Lesson, OwnNetwork
from zoo.timm_models import CLASSES, pictures

BOXES = 5
_SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def masks(size: int, samples: int, channels: int = 3) -> tuple[Tensor, Tensor]:
    """Pictures (N, channels, size, size) and the class of each of their points (N, size, size)."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(0, CLASSES, (samples, size, size), generator=generator)
    noise = torch.randn(samples, channels, size, size, generator=generator)
    return noise + classes.unsqueeze(1), classes


def boxed(size: int, samples: int) -> tuple[Tensor, Tensor]:
    """Pictures with one object each: (class, x, y, width, height), lengths as parts of the picture."""
    inputs, classes = pictures(size, samples)
    boxes = torch.rand(samples, 4, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.25
    return inputs, torch.cat([classes.unsqueeze(1), boxes], 1)


def mask_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross entropy of (N, C, h, w) on (N, H, W), at the size of the masks."""
    return F.cross_entropy(F.interpolate(logits, size=classes.shape[1:]), classes)


def box_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Class and box of the query whose box is nearest: (N, queries, classes + 1 + 4) on (N, 5)."""
    logits, boxes = outputs[..., :-4], outputs[..., -4:]
    distances = (boxes - targets[:, None, 1:]).abs().sum(-1)
    nearest = distances.argmin(1, keepdim=True)
    chosen = logits.take_along_dim(nearest.unsqueeze(-1), 1).squeeze(1)
    return F.cross_entropy(chosen, targets[:, 0].long()) + distances.take_along_dim(nearest, 1).mean()


def _vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(ViTConfig(**_SIZE, image_size=16, patch_size=4, num_labels=CLASSES))


def _yolos() -> nn.Module:
    from transformers import YolosConfig, YolosForObjectDetection

    size = {"image_size": [16, 16], "patch_size": 4, "num_detection_tokens": BOXES, "num_labels": CLASSES}
    return YolosForObjectDetection(YolosConfig(**_SIZE, **size))


def _segformer() -> nn.Module:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    size = {
        "hidden_sizes": [8] * 4, "depths": [1] * 4, "num_attention_heads": [1] * 4, "decoder_hidden_size": 8,
        "sr_ratios": [2, 2, 1, 1], "num_labels": CLASSES,
    }  # fmt: skip
    return SegformerForSemanticSegmentation(SegformerConfig(**size))


def _clip() -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(CLIPVisionConfig(**_SIZE, image_size=16, patch_size=4, projection_dim=CLASSES))


def _unet() -> nn.Module:
    from monai.networks.nets import UNet

    return UNet(
        spatial_dims=2, in_channels=1, out_channels=CLASSES, channels=(4, 8, 16), strides=(2, 2), num_res_units=1
    )


def _named(size: int, samples: int) -> tuple[dict[str, Tensor], Tensor]:
    inputs, classes = pictures(size, samples)
    return {"pixel_values": inputs}, classes


def _boxes(model: nn.Module, inputs: Tensor) -> Tensor:
    outputs = model(inputs)
    return torch.cat([outputs.logits, outputs.pred_boxes], -1)


VISION = (
    OwnNetwork(
        "vit",
        "transformers ViTForImageClassification",
        _vit,
        lambda: {"pixel_values": pictures(16, 4)[0]},
        {"vit.layers.#.mlp.activation_fn": (2, "GELUActivation")},
        Lesson(lambda samples: _named(16, samples)),
    ),
    OwnNetwork(  # quick_gelu, x * sigmoid(1.702 x), is no gate
        "clip",
        "transformers CLIPVisionModelWithProjection",
        _clip,
        lambda: {"pixel_values": pictures(16, 4)[0]},
        {"vision_model.encoder.layers.#.mlp.activation_fn": (2, "QuickGELUActivation")},
        Lesson(lambda samples: _named(16, samples), outputs="image_embeds"),
    ),
    OwnNetwork(
        "yolos",
        "transformers YolosForObjectDetection",
        _yolos,
        lambda: {"pixel_values": pictures(16, 4)[0]},
        {
            "vit.encoder.layer.#.intermediate.intermediate_act_fn": (2, "GELUActivation"),
            "class_labels_classifier.relu_call#": (2, "F.relu"),
            "bbox_predictor.relu_call#": (2, "F.relu"),
        },
        Lesson(lambda samples: boxed(16, samples), box_loss, forward=_boxes),
        left={"sigmoid_call#": (1, "squashes the output")},  # boxes in (0, 1)
    ),
    OwnNetwork(
        "segformer",
        "transformers SegformerForSemanticSegmentation",
        _segformer,
        lambda: {"pixel_values": pictures(32, 2)[0]},
        {
            "segformer.stages.#.blocks.#.mlp.activation_fn": (4, "GELUActivation"),
            "decode_head.activation": (1, "ReLU"),
        },
        Lesson(lambda samples: masks(32, samples), mask_loss),
    ),
    OwnNetwork(  # PReLU: one learned slope each
        "unet",
        "MONAI UNet",
        _unet,
        lambda: masks(16, 2, 1)[0],
        {
            "model.#.conv.unit#.adn.A": (1, "PReLU"),
            "model.#.submodule.#.conv.unit#.adn.A": (1, "PReLU"),
            "model.#.submodule.#.submodule.conv.unit#.adn.A": (1, "PReLU"),
            "model.#.submodule.#.#.adn.A": (1, "PReLU"),
            "model.#.submodule.#.#.conv.unit#.adn.A": (1, "PReLU"),
            "model.#.#.adn.A": (1, "PReLU"),
        },
        Lesson(lambda samples: masks(16, samples, 1), loss=mask_loss),
        lost_keys=(
            "model.#.conv.unit#.adn.A.weight",
            "model.#.submodule.#.conv.unit#.adn.A.weight",
            "model.#.submodule.#.submodule.conv.unit#.adn.A.weight",
            "model.#.submodule.#.#.adn.A.weight",
            "model.#.submodule.#.#.conv.unit#.adn.A.weight",
            "model.#.#.adn.A.weight",
        ),
    ),
)
