"""Which metrics a training measures when, and what stands where one means nothing."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Literal

from torch import Tensor

from actsearch.tasks.declaration import Dataset, Task

PartName = Literal["train", "validation", "test"]
UNDEFINED = "undefined_metrics"
"""Name under which an outcome tells, by metric, why it is null."""


class Metrics:
    """The metrics of a task on a dataset.

    Args:
        task: whose metrics they are.
        dataset: whose targets say which of them mean nothing.
        judged_by: names of the metrics that trials are judged by, None for the task's own.
    """

    def __init__(self, task: Task, dataset: Dataset, judged_by: Collection[str | None]) -> None:
        wanted = {task.metric, *judged_by}
        self.judging = [name for name in task.final_metrics if name in wanted]
        """Final metrics that every report has."""
        self.final = list(task.final_metrics)
        self._optional = {f"validation_{name}" for name in task.optional if name not in wanted}
        parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
        self._undefined = {
            f"{part}_{name}": reason
            for part, samples in parts.items()
            if samples is not None
            for name, reason in task.undefined(samples, dataset.outputs).items()
            if part != "train" or name not in task.final_metrics  # which are not measured on the training part
        }

    def defined(self, part: PartName, metrics: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of a part's metrics that mean something there, by name with the part in front."""
        named = {f"{part}_{name}": value for name, value in metrics.items()}
        return {name: value for name, value in named.items() if name not in self._undefined}

    def is_optional(self, name: str) -> bool:
        """Whether a trial may go on though this metric is NaN or infinite."""
        return name in self._optional

    def explained(self, record: Mapping[str, object]) -> dict[str, object]:
        """A trial's record, in which a metric that means nothing is None, with the reason in `undefined_metrics`."""
        reasons = self._undefined | {
            name: f"it came out as {value}"
            for name, value in record.items()
            if name in self._optional and isinstance(value, float) and not math.isfinite(value)
        }
        if not reasons:
            return dict(record)
        return {**record, **dict.fromkeys(reasons), UNDEFINED: reasons}
