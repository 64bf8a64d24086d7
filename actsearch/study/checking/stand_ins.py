"""Where a network as given computes what the catalogue has: trials of that are trials of the network as given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from actsearch.activations import AS_GIVEN, resolve
from actsearch.architectures import Architecture, InputSpec, site_names
from actsearch.schemas import ActivationSpec, JobRequest, Placement
from actsearch.space import EVERYWHERE, Space


def with_stand_ins(
    space: Space, request: JobRequest, architecture: Architecture, spec: InputSpec, baseline: ActivationSpec
) -> Space:
    """A space with its `stand_ins`; families that would stand for nothing but the network as given are left out."""
    found = _stand_ins(request, architecture, spec, baseline)
    own = [found[group][0] for group in space.groups if group in found]
    if len(own) < len(space.groups) or any(one != own[0] for one in own):
        return replace(space, stand_ins=found)
    others = {label: family for label, family in space.families.items() if label != own[0].label or family.searched}
    return replace(space, stand_ins=found, families=others)


def _stand_ins(
    request: JobRequest, architecture: Architecture, spec: InputSpec, baseline: ActivationSpec
) -> dict[str, tuple[ActivationSpec, ActivationSpec]]:
    """See `Space.stand_ins`; none where the baseline is a family."""
    if baseline.family != AS_GIVEN:
        return {}
    each: dict[str, list[ActivationSpec | None]] = {}
    for site, stage in site_names(architecture, request.architecture.parameters, spec):
        group = _group(request.space.placement, site, stage)
        each.setdefault(group, []).append(architecture.own.get(site))
    return {
        group: (resolve(specs[0]), baseline)
        for group, specs in each.items()
        if specs[0] is not None and all(one == specs[0] for one in specs)
    }


def _group(placement: Placement, site: str, stage: str) -> str:
    groups: Mapping[Placement, str] = {Placement.network: EVERYWHERE, Placement.stage: stage, Placement.layer: site}
    return groups[placement]
