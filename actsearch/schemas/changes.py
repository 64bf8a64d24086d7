"""What may be changed of a job that was submitted: `PATCH /v1/jobs/{id}`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from actsearch.schemas.base import PRINTABLE, Integer, Schema
from actsearch.schemas.requests import JobRequest, Labels


class BudgetChange(Schema):
    """The budget that a job is to have.

    Args:
        trials: in all, those that are over included; at least as many as were begun.
    """

    trials: Annotated[Integer, Field(ge=1, le=10_000_000)]


class JobChange(Schema):
    """What a job is to be from now on; what is left out stays as it is. Sent twice it does no more than once.

    Args:
        name: for people to find it by; null for none.
        labels: all that it is to have; null leaves them.
        priority: higher runs first; null leaves it.
        parallelism: how many runners (devices) may work on the job at once; null for what a request without it gets.
        budget: more trials, or fewer; a completed job that gets more goes on searching, and gives its verdict anew.
    """

    name: Annotated[str, Field(max_length=200, pattern=PRINTABLE)] | None = None
    labels: Labels | None = None
    priority: Annotated[Integer, Field(ge=-1000, le=1000)] | None = None
    parallelism: Annotated[Integer, Field(ge=1, le=1000)] | None = None
    budget: BudgetChange | None = None

    @model_validator(mode="after")
    def _says_something(self) -> JobChange:
        if not self.model_fields_set:
            raise ValueError(f"give at least one of {', '.join(type(self).model_fields)}")
        return self

    def applied_to(self, request: JobRequest) -> JobRequest:
        """The request with these changes."""
        given: dict[str, Any] = {}
        if "name" in self.model_fields_set:
            given["name"] = self.name
        if "parallelism" in self.model_fields_set:
            given["parallelism"] = self.parallelism
        if self.labels is not None:
            given["labels"] = self.labels
        if self.priority is not None:
            given["priority"] = self.priority
        if self.budget is not None:
            given["budget"] = request.budget.model_copy(update={"trials": self.budget.trials})
        return request.model_copy(update=given)
