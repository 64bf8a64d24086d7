"""Finding an architecture by its name: a declared one, or a model of timm."""

from __future__ import annotations

from actsearch.architectures.declaration import Architecture, architectures
from actsearch.errors import NotFound


def get_architecture(name: str | Architecture) -> Architecture:
    """The architecture called `name`: a declared one, or `timm:<model>`; an architecture is given back as it is.

    Raises:
        NotFound: naming the known ones.
        InvalidRequest: for a model of timm where timm cannot be imported.
    """
    if isinstance(name, Architecture):
        return name
    if name.startswith("timm:"):
        from actsearch.architectures.timm_models import timm_architecture

        return timm_architecture(name)
    known = architectures()
    try:
        return known[name]
    except KeyError:
        raise NotFound("architecture", name, tuple(known)) from None
