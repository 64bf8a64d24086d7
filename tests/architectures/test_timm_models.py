"""`timm:<model>`: what is said without timm, and with it every promise of an architecture."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import pytest
import torch

from actsearch.architectures import InputSpec, describe, get_architecture, site_names, timm_models
from actsearch.errors import InvalidRequest, NotFound
from actsearch.schemas import ActivationSpec, JobRequest, Training
from actsearch.search import prepare
from actsearch.tasks import get_task, load
from actsearch.training import Candidate, Cohort, Plan, build_module, train
from actsearch.training.build import site_activations

torch.set_num_threads(1)

IMAGE = InputSpec("image", (1, 8, 8), 10)


def _timm_works() -> bool:
    try:
        import_module("timm")
    except (ImportError, RuntimeError):  # no timm, or a torchvision that does not fit torch
        return False
    return True


with_timm = pytest.mark.skipif(not _timm_works(), reason="timm is an optional extra and cannot be imported here")


@pytest.fixture(params=["missing", "misfit"])
def broken_timm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """timm that is not installed, or whose torchvision does not fit torch."""
    timm_models.timm_architecture.cache_clear()
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    if request.param == "missing":
        monkeypatch.setitem(sys.modules, "timm", None)
    else:
        (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
        monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("broken_timm")
def test_without_timm_a_request_is_told_what_to_install() -> None:
    with pytest.raises(InvalidRequest, match=r"actsearch\[timm\]"):
        get_architecture("timm:resnet18")
    with pytest.raises(InvalidRequest) as caught:
        prepare(JobRequest.model_validate({"task": "digits", "architecture": "timm:resnet18"}))
    assert [problem.field for problem in caught.value.problems] == ["architecture.name"]


@with_timm
def test_sites_are_the_models_places_with_their_channels() -> None:
    resnet = get_architecture("timm:resnet10t")
    sites = site_names(resnet, {}, IMAGE)
    assert [site for site, _ in sites][:3] == ["conv1.2", "conv1.5", "act1"]
    assert list(dict.fromkeys(stage for _, stage in sites)) == ["stage1", "stage2", "stage3"]
    assert describe(resnet).inputs == ["image"]
    module = build_module("timm:resnet10t", {}, IMAGE, {"network": ActivationSpec(family="srelu")}, seed=0)
    assert [a.channels for a in site_activations(module).values()][:3] == [24, 32, 64]
    assert module(torch.randn(2, 1, 8, 8)).shape == (2, 10)


@with_timm
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "convnext_atto", "mobilenetv3_small_050"])
def test_models_of_other_kinds_take_the_tasks_size(name: str) -> None:
    spec = InputSpec("image", (3, 32, 32), 4)
    module = build_module(f"timm:{name}", {}, spec, {"network": ActivationSpec(family="tanh")}, seed=0)
    assert module(torch.randn(2, 3, 32, 32)).shape == (2, 4)
    assert len(site_activations(module)) == len(site_names(get_architecture(f"timm:{name}"), {}, spec))


@with_timm
def test_names_and_sizes_that_do_not_fit_are_told() -> None:
    with pytest.raises(NotFound, match="timm:resnet18"):
        get_architecture("timm:resnet19")
    with pytest.raises(NotFound):
        get_architecture("timm:hf-hub:somebody/something")
    with pytest.raises(InvalidRequest, match=r"\(1, 8, 8\)"):
        site_names(get_architecture("timm:vit_tiny_patch16_224"), {}, IMAGE)


@with_timm
def test_a_model_trains_alone_and_in_a_cohort_alike() -> None:
    data = load("digits")
    few = type(data)(
        *(tuple(column[:48] for column in part) for part in (data.train, data.validation, data.test)),
        input_kind=data.input_kind, input_shape=data.input_shape, outputs=data.outputs,
    )  # fmt: skip

    def trained(families: list[str]) -> list[Any]:
        candidates = [Candidate({"network": ActivationSpec(family=f)}, 1e-3, 0.0, 0.9) for f in families]
        plan = Plan(Training(epochs=1, batch_size=24))
        cohort = Cohort("timm:resnet10t", {}, candidates)
        return train(cohort, get_task("digits"), few, plan, lambda rung: [True] * len(rung.positions))

    families = ["relu", "gelu"]
    for family, outcome in zip(families, trained(families), strict=True):
        (alone,) = trained([family])
        assert alone.state == outcome.state == "complete"
        assert outcome.metrics["test_loss"] == pytest.approx(alone.metrics["test_loss"], rel=1e-2)
