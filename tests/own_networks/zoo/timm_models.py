"""Ten families of timm: residual, dense and mobile convolutions, attention, gated units, normaliser-free networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from zoo.declaration import Lesson, OwnNetwork

CLASSES = 3


def pictures(size: int, samples: int) -> tuple[Tensor, Tensor]:
    """Pictures (samples, 3, size, size) whose brightness tells their class."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(samples) % CLASSES
    noise = torch.randn(samples, 3, size, size, generator=generator)
    return noise + classes.view(-1, 1, 1, 1), classes


def _created(name: str, **size: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import timm

        model: nn.Module = timm.create_model(name, num_classes=CLASSES, **size)
        return model

    return build


def _regnet() -> nn.Module:
    from timm.models.regnet import RegNet, RegNetCfg

    size = RegNetCfg(depth=6, w0=8, wa=8.0, wm=2.0, group_size=4, se_ratio=0.25, stem_width=8)
    return RegNet(size, num_classes=CLASSES)


def _nfnet() -> nn.Module:
    from timm.models.nfnet import NfCfg, NormFreeNet

    size = NfCfg(
        depths=(1, 1, 1, 1), channels=(8, 8, 16, 16), stem_type="deep_quad", group_size=4, extra_conv=True,
        attn_layer="se", attn_kwargs={"rd_ratio": 0.5}, gamma_in_act=True, num_features=16, act_layer="gelu",
    )  # fmt: skip
    return NormFreeNet(size, num_classes=CLASSES)


def _metaformer() -> nn.Module:
    from timm.models.metaformer import MetaFormer

    return MetaFormer(num_classes=CLASSES, depths=(1, 1, 1, 1), dims=(8, 8, 8, 8))


def _network(
    name: str,
    build: Callable[[], nn.Module],
    found: dict[str, tuple[int, str]],
    *,
    size: int = 32,
    **known: Any,
) -> OwnNetwork:
    return OwnNetwork(
        name=name,
        origin=f"timm {name}",
        build=build,
        inputs=lambda: pictures(size, 2)[0],
        found=found,
        lesson=Lesson(lambda samples: pictures(size, samples)),
        **known,
    )


TIMM = (
    _network(
        "resnet50",
        _created("resnet50", channels=(8, 8, 8, 8)),
        {"act#": (1, "ReLU"), "layer#.#.act#": (48, "ReLU")},
        heavy=True,
    ),
    _network(
        "vit_tiny_patch16_224",
        _created("vit_tiny_patch16_224", img_size=32, depth=2, embed_dim=16, num_heads=2),
        {"blocks.#.mlp.act": (2, "GELU")},
    ),
    _network(
        "convnext_atto",
        _created("convnext_atto", dims=(8, 8, 8, 8), depths=(1, 1, 1, 1)),
        {"stages.#.blocks.#.mlp.act": (4, "GELU")},
    ),
    _network(
        "densenet121",
        _created("densenet121", growth_rate=4, block_config=(2, 2, 2, 2)),
        {
            "features.norm#.act": (2, "ReLU"),
            "features.denseblock#.denselayer#.norm#.act": (16, "ReLU"),
            "features.transition#.norm.act": (3, "ReLU"),
        },
    ),
    _network(
        "swin_tiny_patch4_window7_224",
        _created("swin_tiny_patch4_window7_224", img_size=56, depths=(1, 1), num_heads=(2, 2), embed_dim=8),
        {"layers.#.blocks.#.mlp.act": (2, "GELU")},
        size=56,
    ),
    _network(  # SwiGLU: what is activated is multiplied with another branch, and is searched all the same
        "eva02_tiny_patch14_224",
        _created("eva02_tiny_patch14_224", img_size=28, depth=2, embed_dim=32, num_heads=2),
        {"blocks.#.mlp.act": (2, "SiLU")},
        size=28,
    ),
    _network(
        "mobilenetv3_small_050",
        _created("mobilenetv3_small_050"),
        {
            "bn#.act": (1, "Hardswish"),
            "blocks.#.#.bn#.act": (22, "Hardswish or ReLU"),
            "blocks.#.#.se.act#": (9, "ReLU"),
            "act#": (1, "Hardswish"),
        },
        left={"blocks.#.#.se.gate": (9, "is a gate")},
        heavy=True,
    ),
    _network(
        "regnety",
        _regnet,
        {
            "stem.bn.act": (1, "ReLU"),
            "s#.b#.conv#.bn.act": (12, "ReLU"),
            "s#.b#.se.act": (6, "ReLU"),
            "s#.b#.act#": (6, "ReLU"),
        },
        left={"s#.b#.se.gate": (6, "is a gate")},
    ),
    _network(  # GammaAct: GELU times a constant
        "nfnet",
        _nfnet,
        {
            "stem.act#": (3, "GammaAct"),
            "stages.#.#.act#": (12, "GammaAct"),
            "stages.#.#.act#b": (4, "GammaAct"),
            "stages.#.#.attn_last.act": (4, "ReLU"),
            "final_act": (1, "GammaAct"),
        },
        left={"stages.#.#.attn_last.gate": (4, "is a gate")},
    ),
    _network(  # StarReLU: a squared ReLU with a learned scale and bias
        "poolformerv2",
        _metaformer,
        {"stages.#.blocks.#.mlp.act": (4, "StarReLU"), "head.fc.act": (1, "SquaredReLU")},
        lost_keys=("stages.#.blocks.#.mlp.act.scale", "stages.#.blocks.#.mlp.act.bias"),
    ),
)
