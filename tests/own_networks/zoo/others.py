"""A graph network of torch-geometric, a detector in the manner of YOLO, and a forecaster with an LSTM."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.declaration import Lesson, OwnNetwork
from zoo.vision import boxed

NODES, FEATURES, CLASSES, CELLS = 24, 5, 3, 4


def graph() -> tuple[Tensor, Tensor]:
    """One graph: features of its nodes (NODES, FEATURES), and a ring of edges (2, 2 NODES)."""
    features = torch.randn(NODES, FEATURES, generator=torch.Generator().manual_seed(0))
    nodes = torch.arange(NODES)
    there, back = torch.stack([nodes, nodes.roll(-1)]), torch.stack([nodes.roll(-1), nodes])
    return features, torch.cat([there, back], 1)


def _of_nodes(model: nn.Module, nodes: Tensor) -> Tensor:
    outputs: Tensor = model(*graph())
    return outputs[nodes]


def _gcn() -> nn.Module:
    from torch_geometric.nn import GCN

    return GCN(FEATURES, 8, 2, CLASSES)


def _gin() -> nn.Module:
    from torch_geometric.nn import GIN

    return GIN(FEATURES, 8, 2, CLASSES)


def _gat() -> nn.Module:
    from torch_geometric.nn import GAT

    return GAT(FEATURES, 8, 2, CLASSES, act="elu")


def _nodes(samples: int) -> tuple[Tensor, Tensor]:
    return torch.arange(samples) % NODES, torch.arange(samples) % CLASSES


_NODES = Lesson(_nodes, forward=_of_nodes)


class Conv(nn.Module):
    """Convolution, norm, activation: one activation module of the class stands in all of them."""

    default_act = nn.SiLU(inplace=True)

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = self.default_act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class CrossStage(nn.Module):
    """Half of the channels pass by."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.cv1, self.cv2 = Conv(channels, channels, 1), Conv(channels + half, channels, 1)
        self.m = nn.ModuleList([nn.Sequential(Conv(half, half), Conv(half, half))])

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.cv1(x).chunk(2, 1))
        parts.extend(block(parts[-1]) for block in self.m)
        return self.cv2(torch.cat(parts, 1))


class Detect(nn.Module):
    """For each cell: class and object scores, and a box relative to the picture, squeezed into (0, 1)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.stem, self.pred = Conv(channels, channels), nn.Conv2d(channels, classes + 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        raw = self.pred(self.stem(x)).flatten(2).transpose(1, 2)
        return torch.cat([raw[..., :-4], raw[..., -4:].sigmoid()], -1)


def _yolo() -> nn.Module:
    return nn.Sequential(Conv(3, 8, 3, 2), Conv(8, 8, 3, 2), CrossStage(8), Conv(8, 16, 3, 2), Detect(16, CLASSES))


def detection_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """The cell that holds the object's middle is to see it, the others nothing.

    Args:
        outputs: (N, CELLS², classes + 1 + 4).
        targets: (N, 5): class, x, y, width, height.
    """
    middle = (targets[:, 1:3] * CELLS).long().clamp(0, CELLS - 1)
    cell = middle[:, 1] * CELLS + middle[:, 0]
    seen = F.one_hot(cell, CELLS * CELLS).to(outputs.dtype)
    here = outputs.take_along_dim(cell.view(-1, 1, 1), 1).squeeze(1)
    presence = F.binary_cross_entropy_with_logits(outputs[..., CLASSES], seen)
    classes = F.cross_entropy(here[:, :CLASSES], targets[:, 0].long())
    return presence + classes + F.smooth_l1_loss(here[:, -4:], targets[:, 1:])


class Forecaster(nn.Module):
    """The next value of a series from an LSTM's last state."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, 8, batch_first=True)
        self.head = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x)
        return self.head(states[:, -1])


def series(samples: int) -> tuple[Tensor, Tensor]:
    """Pieces (samples, 12, 1) of waves, and what comes next (samples,)."""
    phases = torch.arange(samples).unsqueeze(1) * 0.7
    waves = torch.sin(phases + torch.arange(13) * 0.5)
    return waves[:, :-1].unsqueeze(-1), waves[:, -1]


OTHERS = (
    OwnNetwork(  # one activation module, called between all layers
        "gcn",
        "torch-geometric GCN",
        _gcn,
        graph,
        {"act": (1, "ReLU")},
        _NODES,
    ),
    OwnNetwork(
        "gin",
        "torch-geometric GIN",
        _gin,
        graph,
        {"act": (1, "ReLU"), "convs.#.nn.act": (2, "ReLU")},
        _NODES,
    ),
    OwnNetwork(
        "gat",
        "torch-geometric GAT",
        _gat,
        graph,
        {"act": (1, "ELU")},
        _NODES,
        left={
            "convs.#": (2, "its source calls leaky_relu: make it a module of its own")
        },  # of the attention's scores, before a softmax
    ),
    OwnNetwork(
        "yolo",
        "a detector in the manner of YOLO",
        _yolo,
        lambda: boxed(32, 2)[0],
        {
            "#.act": (3, "SiLU"),
            "#.cv#.act": (2, "SiLU"),
            "#.m.#.#.act": (2, "SiLU"),
            "#.stem.act": (1, "SiLU"),
        },
        Lesson(lambda samples: boxed(32, samples), loss=detection_loss),
        left={"#.sigmoid_call#": (1, "squashes the output")},
    ),
    OwnNetwork(
        "lstm",
        "an LSTM forecaster",
        Forecaster,
        lambda: series(4)[0],
        {"head.#": (1, "ReLU")},
        Lesson(series),
        left={"lstm": (1, "its activations are part of torch's kernel")},
    ),
)
