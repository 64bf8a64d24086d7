"""Networks that nobody here wrote, small and with random weights, and what is expected of them."""

from zoo.declaration import Lesson, OwnNetwork, called, counted, pattern
from zoo.language import LANGUAGE
from zoo.others import OTHERS
from zoo.timm_models import TIMM
from zoo.vision import VISION

__all__ = ["NETWORKS", "Lesson", "OwnNetwork", "called", "counted", "pattern"]

NETWORKS: tuple[OwnNetwork, ...] = (*LANGUAGE, *VISION, *TIMM, *OTHERS)
"""Every network, by library."""
