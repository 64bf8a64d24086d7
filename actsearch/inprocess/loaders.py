"""What a `DataLoader` yields: read in passes, and whether two passes hold the same samples."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.inprocess.tensors import to_inputs, to_targets
from actsearch.tasks.declaration import Part
from actsearch.tasks.parts import rows, sample_count
from actsearch.training.memory import free_bytes
from actsearch.training.noise import seeded_everywhere

LABELS = ("labels", "label", "targets", "target")
_READ_BY = 256
_MOST_BATCHES = 20_000


@dataclass(frozen=True)
class Read:
    """Data as tensors.

    Args:
        part: inputs and targets, on the CPU; of data that are drawn anew for each epoch, one pass.
        notes: what was found out and guessed about them, in words.
        fresh: gives the samples of an epoch, from a seed; None where they are always the same.
        batch_size: of the caller's loader.
        in_order: whether an epoch is to be taken in the order in which it comes.
    """

    part: Part
    notes: Sequence[str] = ()
    fresh: Callable[[int], Part] | None = None
    batch_size: int | None = None
    in_order: bool = False


def read_loader(loader: DataLoader[Any], name: str, *, training: bool, what: str = "DataLoader") -> Read:
    """All that a loader yields, by its sampler, `collate_fn` and transforms.

    Two passes with different seeds are compared. Where they hold the same samples, whatever their order, one pass is
    kept. Where they do not, training data are read anew for each epoch, by seeds of its own, the same for all trials.

    Args:
        name: of the argument, for errors.
        what: the data are, for the notes.

    Raises:
        InvalidRequest: for a loader without an end, one that gives no pairs, random validation or test data, and random
            draws that no seed of torch, NumPy or `random` repeats.
    """
    whole, notes = _whole(loader)
    composed = whole.batch_sampler is not None and type(whole.batch_sampler) is not BatchSampler
    first, sizes = _pass(whole, name, 0)
    prints = fingerprints(first)
    other = fingerprints(_pass(whole, name, 1)[0])
    kind = f"{name}: a {what} of {sample_count(first)} samples"
    if sorted(prints) == sorted(other) and not (composed and training):
        notes = [f"{kind}, read once: a second pass with another seed gave the same samples", *notes]
        if prints != other:  # its order is random, and may not depend on any seed
            order = sorted(range(len(prints)), key=prints.__getitem__)
            first = rows(first, torch.tensor(order))
        return Read(first, notes, batch_size=loader.batch_size or sizes[0])
    if fingerprints(_pass(whole, name, 0)[0]) != prints:
        message = (
            "gives other samples in each pass, whatever the seeds of torch, NumPy and `random` are, so trials would "
            "not train on the same ones; draw from torch's global generator, or give tensors and `augment=`"
        )
        raise InvalidRequest(FieldProblem(name, message))
    if not training:
        message = (
            "gives other samples in each pass (random transforms, a random sampler), but trials must be judged on the "
            "same ones; give a loader without them, or tensors"
        )
        raise InvalidRequest(FieldProblem(name, message))
    if len(set(sizes[:-1])) > 1:
        message = (
            f"gives batches of different sizes ({', '.join(map(str, sorted(set(sizes))[:4]))} ...); make them equal"
        )
        raise InvalidRequest(FieldProblem(name, message))
    notes = [f"{kind}, read anew for each epoch (its passes differ), with the same draws for all trials", *notes]
    return Read(first, notes, _fresh(whole, name, sample_count(first)), sizes[0], in_order=whole is loader)


def as_loader(data: Any) -> DataLoader[Any]:
    """A data set of samples as a loader, in order."""
    if isinstance(data, IterableDataset):
        return DataLoader(data, batch_size=_READ_BY)
    return DataLoader(data, batch_size=_READ_BY, shuffle=False)


def _whole(loader: DataLoader[Any]) -> tuple[DataLoader[Any], list[str]]:
    """The loader without `drop_last` where it shuffles: the engine leaves others out in each epoch, too."""
    sampler = loader.sampler
    shuffles = type(sampler) is RandomSampler and not sampler.replacement
    if not (loader.drop_last and shuffles and type(loader.batch_sampler) is BatchSampler):
        return loader, []
    if sampler.num_samples != len(sampler.data_source):  # type: ignore[attr-defined]
        return loader, []
    whole = DataLoader(
        loader.dataset,
        loader.batch_size,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        worker_init_fn=loader.worker_init_fn,
        generator=loader.generator,
    )
    return whole, ["drop_last: other samples are left out in each epoch, as many as make the last batch incomplete"]


def _fresh(loader: DataLoader[Any], name: str, samples: int) -> Callable[[int], Part]:
    def fresh(seed: int) -> Part:
        part, _ = _pass(loader, name, seed)
        if sample_count(part) != samples:
            raise ValueError(f"{name} gave {samples} samples in one pass and {sample_count(part)} in another")
        return part

    return fresh


def _pass(loader: DataLoader[Any], name: str, seed: int) -> tuple[Part, list[int]]:
    """All samples of a pass from a seed of all generators, which stay as they were, and the sizes of its batches."""
    read: list[Part] = []
    with seeded_everywhere(seed), _own_generators(loader, seed):
        for inputs, targets in _batches(loader, name):
            read.append((to_inputs(inputs, f"{name}[0]"), to_targets(targets, f"{name}[1]")))
    if any(not targets.dim() for _, targets in read):
        message = "yields single samples; give the loader a `batch_size`"
        raise InvalidRequest(FieldProblem(name, message))
    if not read:
        raise InvalidRequest(FieldProblem(name, "yields nothing; give at least one batch"))
    sizes = [sample_count(part) for part in read]
    return _joined(read, name), sizes


def _batches(loader: DataLoader[Any], name: str) -> Iterator[tuple[Any, Any]]:
    memory, taken = free_bytes(torch.device("cpu")), 0
    try:
        expected: int | None = len(loader)
    except TypeError:  # a stream
        expected = None
    for number, batch in enumerate(_iterated(loader, name)):
        pair = _pair(batch, name)
        taken += sum(leaf.nbytes for leaf in tree_leaves(pair) if isinstance(leaf, Tensor))
        if (expected is None and number >= _MOST_BATCHES) or (memory is not None and taken > memory):
            message = (
                f"has no end within {number} batches ({taken / 2**20:.0f} MiB); give a finite one, such as the first "
                "samples by itertools.islice, or tell its data set's `__len__`"
            )
            raise InvalidRequest(FieldProblem(name, message))
        yield pair


def _iterated(loader: DataLoader[Any], name: str) -> Iterator[Any]:
    try:
        yield from loader
    except InvalidRequest:
        raise
    except Exception as error:  # of the caller's data set, transforms or collate_fn
        message = f"cannot be read: {type(error).__name__}: {error}"
        if "equal size" in str(error):
            message = f"samples differ in shape; pad them to one length in a transform or a `collate_fn` ({error})"
        raise InvalidRequest(FieldProblem(name, message)) from error


def _pair(batch: Any, name: str) -> tuple[Any, Any]:
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    if isinstance(batch, Mapping):
        label = next((key for key in LABELS if key in batch), None)
        if label is not None:
            return {key: value for key, value in batch.items() if key != label}, batch[label]
    found = f"{len(batch)} parts" if isinstance(batch, tuple | list) else f"a {type(batch).__name__}"
    if isinstance(batch, Mapping):
        found = f"the keys {', '.join(map(str, batch))}"
    message = (
        f"samples must be (input, target) pairs, or mappings with one of {', '.join(LABELS)}; they have {found}: "
        "several inputs are a tuple or mapping of their own, ((a, b), target)"
    )
    raise InvalidRequest(FieldProblem(name, message))


def _joined(parts: Sequence[Part], name: str) -> Part:
    flat = [tree_flatten(part) for part in parts]
    specs = {str(spec) for _, spec in flat}
    if len(specs) > 1:
        raise InvalidRequest(FieldProblem(name, "batches differ in their parts; give all of them the same"))
    columns = list(zip(*(leaves for leaves, _ in flat), strict=True))
    masked = isinstance(parts[0][0], Mapping) and any("mask" in str(key) for key in parts[0][0])
    return tree_unflatten([_column(column, name, masked=masked) for column in columns], flat[0][1])  # type: ignore[no-any-return]


def _column(batches: Sequence[Tensor], name: str, *, masked: bool) -> Tensor:
    shapes = {tuple(tensor.shape[1:]) for tensor in batches}
    if len(shapes) == 1:
        return torch.cat(list(batches))
    if not masked or len({shape[1:] for shape in shapes}) > 1:
        message = (
            f"batches differ in shape: {sorted(shapes)[:3]}; pad all to one length, or give inputs by name with a mask "
            "(`attention_mask`), which are padded with zeros"
        )
        raise InvalidRequest(FieldProblem(name, message))
    longest = max(shape[0] for shape in shapes)
    inner = len(next(iter(shapes))) - 1
    return torch.cat([F.pad(tensor, [0, 0] * inner + [0, longest - tensor.shape[1]]) for tensor in batches])


def fingerprints(part: Part) -> list[bytes]:
    """A fingerprint of each sample."""
    columns = [leaf.contiguous().numpy() for leaf in tree_leaves(part)]
    found = []
    for row in range(sample_count(part)):
        digest = hashlib.blake2b(digest_size=8)
        for column in columns:
            digest.update(column[row].tobytes())
        found.append(digest.digest())
    return found


@contextmanager
def _own_generators(loader: DataLoader[Any], seed: int) -> Iterator[None]:
    """Inside, the generators that a loader and its samplers keep start from a seed; then they are as they were."""
    inner = getattr(loader.batch_sampler, "sampler", None)
    keepers = (loader, loader.sampler, loader.batch_sampler, inner, loader.dataset)
    generators = [getattr(keeper, "generator", None) for keeper in keepers]
    found = {id(one): one for one in generators if isinstance(one, torch.Generator)}
    with ExitStack() as stack:
        for generator in found.values():
            stack.callback(generator.set_state, generator.get_state())
            generator.manual_seed(seed)
        yield
