"""`as given`: what a network of somebody else's computes at a site, whether the catalogue has it or not.

It is a word for a place, not a function: each site of such a network has its own (`training.GivenSite` holds it).
"""

from __future__ import annotations

from typing import Any, NoReturn

from actsearch.activations.declaration import Family
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import ActivationSpec

AS_GIVEN = "as given"
GIVEN = ActivationSpec(family=AS_GIVEN, learned="fixed")


def _unknown(*_: Any, **__: Any) -> NoReturn:
    message = "only a ready-made network that is searched in this process has activations as given; name a family"
    raise InvalidRequest(FieldProblem("family", message))


GIVEN_FAMILY = Family(
    name=AS_GIVEN,
    function=_unknown,
    formula="what the network came with",
    reference="the network itself",
    cost="composite",  # unless its sites are known, see `Activation.cost`
    initial_gain=lambda: 1.0,
)
