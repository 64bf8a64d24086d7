"""Architectures `timm:<name>`: any image model of timm, its activations as sites, its weights drawn anew.

Nothing is downloaded: no pretrained weights, and names of model hubs are unknown names here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
from torch import nn

from actsearch.architectures.declaration import RELU, Architecture, InputSpec, Sites
from actsearch.architectures.ready_made import take_out
from actsearch.errors import FieldProblem, InvalidRequest, NotFound
from actsearch.schemas import ParameterInfo
from actsearch.surgery.places import find
from actsearch.surgery.positions import reason_to_stay
from actsearch.surgery.recognition import usual

PREFIX = "timm:"
_MISFIT = (
    "timm needs the torchvision that was built for the installed torch where API and workers run: for torch {} that is "
    "{}, from PyTorch's own index (the command is at pytorch.org/get-started), see docs/timm.md ({})"
)

_DROP = ParameterInfo(name="drop_rate", type="float", default=0.0, low=0.0, high=0.9, description="before the output")


@lru_cache(maxsize=64)
def timm_architecture(name: str) -> Architecture:
    """The architecture `timm:<model>`.

    Sites are the places of activation modules and functions in the model (`layer1.0.act1`), in the order in which they
    are used, in up to three stages of equal depth; gates (sigmoids of squeeze-and-excite blocks) are left as they are.
    The baseline is the activation that the model comes with.
    The model keeps timm's own initial weights, which do not follow the activation's gain.

    Raises:
        InvalidRequest: where timm cannot be imported.
        NotFound: for a name that timm does not have.
    """
    model = name.removeprefix(PREFIX)
    timm = _timm()
    if not timm.is_model(model):
        near = timm.list_models(f"*{model.split('.')[0].split('_')[0]}*")[:20]
        raise NotFound("architecture", name, tuple(PREFIX + each for each in near or timm.list_models("resnet*")[:20]))

    def build(spec: InputSpec, sites: Sites, **parameters: Any) -> nn.Module:
        try:
            return _built(timm, model, spec, sites, parameters)
        except (RuntimeError, AssertionError, TypeError, ValueError, NotImplementedError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            message = f"{name} cannot be built for inputs of shape {spec.shape}: {reason}"
            raise InvalidRequest(FieldProblem("architecture.name", message)) from error

    own = find(nn.ModuleList([timm.create_model(model, pretrained=False)])).places
    baseline = usual(place.function for place in own if reason_to_stay(place.ends, gate=place.gate) is None) or RELU
    return Architecture(name, f"{model} of timm {timm.__version__}.", build, ("image",), (_DROP,), baseline)


def _timm() -> ModuleType:
    try:
        import timm
    except ImportError as error:
        message = f"timm models need timm where API and workers run: `pip install 'actsearch[timm]'` ({error})"
        raise InvalidRequest(FieldProblem("architecture.name", message)) from error
    except RuntimeError as error:  # torchvision's, whose compiled part could not be loaded
        build = f"its build for CUDA {torch.version.cuda}" if torch.version.cuda else "its build for CPUs"
        message = _MISFIT.format(torch.__version__, build, str(error).splitlines()[0])
        raise InvalidRequest(FieldProblem("architecture.name", message)) from error
    found: ModuleType = timm
    return found


def _built(timm: ModuleType, model: str, spec: InputSpec, sites: Sites, parameters: Mapping[str, Any]) -> nn.Module:
    channels, *size = spec.shape
    options = dict(parameters, pretrained=False, in_chans=channels, num_classes=spec.outputs)
    if getattr(timm.get_pretrained_cfg(model), "fixed_input_size", False):
        options["img_size"] = tuple(size)
    key = (model, spec.shape, spec.outputs, *sorted(parameters.items()))
    device = torch.empty(0).device
    if device.type == "meta":  # only asked for shapes; some models compute while they are built
        with torch.device("cpu"):
            return _with_sites(timm.create_model(model, **options), spec, sites, key).to("meta")
    return _with_sites(timm.create_model(model, **options), spec, sites, key)


_PROVED: dict[tuple[object, ...], tuple[str, ...]] = {}
"""Sites of models that were examined, by name, inputs and parameters."""


def _with_sites(model: nn.Module, spec: InputSpec, sites: Sites, key: tuple[object, ...]) -> nn.Module:
    """The model with a site's activation at each place that it uses; examined the first time that it is made."""
    found = take_out(model, torch.zeros(2, *spec.shape), sites=_PROVED.get(key), prove=key not in _PROVED)
    _PROVED[key] = tuple(found.sites)
    return found.put(found.module, sites)
