"""Predicting the next character of English text: the language reference that ships inside Python."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.schemas import Direction, ParameterInfo
from actsearch.tasks.declaration import Dataset, Part, Predict, Task, register

ALPHABET = "\n" + "".join(map(chr, range(32, 127)))
"""The vocabulary: line end and printable ASCII. It is fixed, so that it tells nothing about the parts."""

_CONTEXT = ParameterInfo(name="context", type="int", default=64, low=8, high=512, description="Characters of a sample.")
_CHARACTERS = ParameterInfo(
    name="characters", type="int", default=100_000, low=10_000, high=300_000, description="Length of the text used."
)


def encode(text: str) -> Tensor:
    """Positions in `ALPHABET`, int64 (len(text),); a character that is not in it counts as `?`."""
    unknown = ALPHABET.index("?")
    places = {character: place for place, character in enumerate(ALPHABET)}
    return torch.tensor([places.get(character, unknown) for character in text], dtype=torch.int64)


def without_repeats(texts: Iterable[str]) -> str:
    """The paragraphs of `texts`, each kept where it first appears.

    Python's topics quote one another at length; a paragraph in two parts would let a network remember the test.
    """
    first: dict[str, str] = {}
    for text in texts:
        for paragraph in text.split("\n\n"):
            first.setdefault(" ".join(paragraph.split()), paragraph)
    return "\n\n".join(paragraph for words, paragraph in first.items() if words)


def next_characters(codes: Tensor, context: int) -> Part:
    """Stretches (N, context) of `codes` (L,) that do not overlap, and each one's following characters (N, context)."""
    count = (len(codes) - 1) // context
    x, y = codes[: count * context], codes[1 : count * context + 1]
    return x.reshape(count, context), y.reshape(count, context)


def language_loss(predict: Predict, batch: Part) -> Tensor:
    """Mean cross entropy a character in nats, (); `predict` turns tokens (B, T) into logits (B, T, vocabulary)."""
    x, y = batch
    return _cross_entropy(predict(x), y)


def language_metrics(outputs: Tensor, part: Part) -> dict[str, Tensor]:
    """Cross entropy in nats and in bits a character, and accuracy in [0, 1], of logits (N, T, vocabulary)."""
    y = part[1]
    loss = _cross_entropy(outputs, y)
    accuracy = (outputs.argmax(-1) == y).to(outputs.dtype).mean()
    return {"bits_per_character": loss / math.log(2), "loss": loss, "accuracy": accuracy}


def _cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())  # (B*T, V) against (B*T,)


def _load(context: int = 64, characters: int = 100_000) -> Dataset:
    from pydoc_data.topics import topics

    codes = encode(without_repeats(topics.values())[:characters])
    first, second = round(0.8 * len(codes)), round(0.9 * len(codes))
    return Dataset(
        train=next_characters(codes[:first], context),
        validation=next_characters(codes[first:second], context),
        test=next_characters(codes[second:], context),
        input_kind="tokens",
        input_shape=(context,),
        outputs=len(ALPHABET),
    )


register(
    Task(
        name="text",
        description="Next character of the Python language reference, over 96 characters (line end, printable ASCII).",
        kind="language",
        load=_load,
        loss=language_loss,
        metrics=language_metrics,
        metric="bits_per_character",
        directions={
            "bits_per_character": Direction.minimize,
            "loss": Direction.minimize,
            "accuracy": Direction.maximize,
        },
        source=f"pydoc topics of Python {platform.python_version()}, PSF License; the text differs between versions",
        parameters=(_CONTEXT, _CHARACTERS),
    )
)
