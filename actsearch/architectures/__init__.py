"""The architectures: builders of networks with named activation sites, registered by name (`declaration`)."""

from __future__ import annotations

from actsearch.architectures import convnet as convnet
from actsearch.architectures import coordinate as coordinate
from actsearch.architectures import gan2d as gan2d
from actsearch.architectures import mlp as mlp
from actsearch.architectures import mlp_mixer as mlp_mixer
from actsearch.architectures import resnet as resnet
from actsearch.architectures import rnn as rnn
from actsearch.architectures import tcn as tcn
from actsearch.architectures import transformer_lm as transformer_lm
from actsearch.architectures import vit as vit
from actsearch.architectures.declaration import (
    Architecture,
    Builder,
    InputSpec,
    Sites,
    architecture,
    architectures,
)
from actsearch.architectures.description import describe, site_names
from actsearch.architectures.initialisation import gain_of, initialise
from actsearch.architectures.lookup import get_architecture
from actsearch.architectures.resolution import complaint, resolve_parameters
from actsearch.plugins import load_plugins

__all__ = [
    "Architecture",
    "Builder",
    "InputSpec",
    "Sites",
    "architecture",
    "architectures",
    "complaint",
    "describe",
    "gain_of",
    "get_architecture",
    "initialise",
    "resolve_parameters",
    "site_names",
]

load_plugins("actsearch.architectures")
