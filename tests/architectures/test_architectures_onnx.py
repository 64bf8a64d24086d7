"""Every architecture goes to ONNX with its activations: exported as one, since the exporter takes its time to start."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn

from actsearch.architectures import InputSpec, architectures
from actsearch.schemas import ActivationSpec
from actsearch.training import build_module

SHAPES = {"vector": (5,), "image": (1, 8, 8), "sequence": (2, 8), "coordinates": (2,), "tokens": (8,), "gan": (4,)}


def inputs_of(kind: str, batch: int) -> Tensor:
    if kind == "tokens":
        return torch.randint(0, 4, (batch, *SHAPES[kind]), generator=torch.Generator().manual_seed(batch))
    return torch.randn(batch, *SHAPES[kind], generator=torch.Generator().manual_seed(batch))


class Side(nn.Module):
    """Networks side by side, each with the input of its kind."""

    def __init__(self, networks: dict[str, nn.Module], kinds: dict[str, str]) -> None:
        super().__init__()
        self.networks, self.kinds = nn.ModuleDict(networks), kinds

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        by_kind = dict(zip(SHAPES, inputs, strict=True))
        return {name: network(by_kind[self.kinds[name]]) for name, network in self.networks.items()}


def test_every_architecture_runs_in_onnx(tmp_path: Path) -> None:
    """With random slopes, which draw nothing in evaluation, the batch size stays free too."""
    kinds = {name: a.inputs[0] for name, a in architectures().items()}
    random = {"network": ActivationSpec(family="rrelu")}
    networks = {
        name: build_module(name, {}, InputSpec(kind, SHAPES[kind], outputs=4), random, seed=0)
        for name, kind in kinds.items()
    }
    network = Side(networks, kinds).eval()
    free = {0: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        network,
        tuple(inputs_of(kind, 3) for kind in SHAPES),
        dynamo=True,
        dynamic_shapes=(tuple(free for _ in SHAPES),),
        verbose=False,
    )
    program.save(str(tmp_path / "networks.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "networks.onnx")
    others = [inputs_of(kind, 7) for kind in SHAPES]
    named = zip(session.get_inputs(), others, strict=True)
    found = session.run(None, {slot.name: value.numpy() for slot, value in named})
    with torch.no_grad():
        wanted = network(*others)
    for name, value in zip(wanted, found, strict=True):
        torch.testing.assert_close(torch.from_numpy(value), wanted[name], rtol=1e-4, atol=1e-5, msg=name)
