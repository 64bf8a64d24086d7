"""Requests and responses: the one contract that API, SDK, CLI and workers share (no torch, no database).

Names are those of the design's vocabulary.
"""

from __future__ import annotations

from actsearch.schemas.base import (
    PRINTABLE,
    Item,
    Number,
    Page,
    Scalar,
    Schema,
    TaskValue,
)
from actsearch.schemas.catalogue import (
    ActivationCurve,
    ActivationInfo,
    ArchitectureInfo,
    FamilyInfo,
    ParameterInfo,
    TaskInfo,
    WorkerInfo,
)
from actsearch.schemas.jobs import (
    Job,
    Progress,
)
from actsearch.schemas.json_schema import json_schema
from actsearch.schemas.keys import KeyInfo, KeyScope
from actsearch.schemas.measures import Measure
from actsearch.schemas.pareto import HypervolumePoint, ParetoEntry, ParetoFront
from actsearch.schemas.problems import (
    Problem,
    ProblemField,
)
from actsearch.schemas.pruners import Pruner
from actsearch.schemas.rankings import (
    ActivationRanking,
    FamilyRanking,
    Importances,
    Leader,
    Leaderboard,
    RankedActivation,
    RankedFamily,
    RankedTrial,
    TrialRanking,
)
from actsearch.schemas.reports import Chart, File, ReportFormat
from actsearch.schemas.requests import (
    ActivationSpec,
    Budget,
    Choices,
    Confirmation,
    Constraints,
    FamilyChoice,
    FamilyTags,
    JobRequest,
    Named,
    Objective,
    Placement,
    Precision,
    Range,
    SearchSpace,
    TaskChoice,
    Training,
)
from actsearch.schemas.samplers import Sampler
from actsearch.schemas.states import (
    ACTIVE_STATES,
    FINAL_STATES,
    JOB_TRANSITIONS,
    Direction,
    FailureReason,
    JobState,
    StopRule,
    TrialState,
)
from actsearch.schemas.trials import (
    CurvePoint,
    Failure,
    ObjectiveInfo,
    Trial,
)
from actsearch.schemas.verdicts import (
    Arm,
    ConfirmationProgress,
    Difference,
    Ending,
    Evaluation,
    Finalist,
    Interval,
    Outcome,
    SeedSpread,
    Verdict,
)

__all__ = [
    "ACTIVE_STATES",
    "FINAL_STATES",
    "JOB_TRANSITIONS",
    "PRINTABLE",
    "ActivationCurve",
    "ActivationInfo",
    "ActivationRanking",
    "ActivationSpec",
    "ArchitectureInfo",
    "Arm",
    "Budget",
    "Chart",
    "Choices",
    "Confirmation",
    "ConfirmationProgress",
    "Constraints",
    "CurvePoint",
    "Difference",
    "Direction",
    "Ending",
    "Evaluation",
    "Failure",
    "FailureReason",
    "FamilyChoice",
    "FamilyInfo",
    "FamilyRanking",
    "FamilyTags",
    "File",
    "Finalist",
    "HypervolumePoint",
    "Importances",
    "Interval",
    "Item",
    "Job",
    "JobRequest",
    "JobState",
    "KeyInfo",
    "KeyScope",
    "Leader",
    "Leaderboard",
    "Measure",
    "Named",
    "Number",
    "Objective",
    "ObjectiveInfo",
    "Outcome",
    "Page",
    "ParameterInfo",
    "ParetoEntry",
    "ParetoFront",
    "Placement",
    "Precision",
    "Problem",
    "ProblemField",
    "Progress",
    "Pruner",
    "Range",
    "RankedActivation",
    "RankedFamily",
    "RankedTrial",
    "ReportFormat",
    "Sampler",
    "Scalar",
    "Schema",
    "SearchSpace",
    "SeedSpread",
    "StopRule",
    "TaskChoice",
    "TaskInfo",
    "TaskValue",
    "Training",
    "Trial",
    "TrialRanking",
    "TrialState",
    "Verdict",
    "WorkerInfo",
    "json_schema",
]
