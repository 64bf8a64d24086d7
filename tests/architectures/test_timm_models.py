"""`timm:<model>`: what is said without timm, and with it every promise of an architecture."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from actsearch.architectures import InputSpec, describe, get_architecture, site_names, timm_models
from actsearch.errors import InvalidRequest, NotFound
from actsearch.schemas import ActivationSpec, JobRequest, Training
from actsearch.study import prepare
from actsearch.tasks import get_task, load
from actsearch.training import Candidate, Cohort, Plan, build_module, train
from actsearch.training.build import site_activations

torch.set_num_threads(1)

IMAGE = InputSpec("image", (1, 8, 8), 10)


@pytest.fixture
def no_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    timm_models.timm_architecture.cache_clear()
    monkeypatch.setitem(sys.modules, "timm", None)


@pytest.fixture
def misfit(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """timm whose torchvision does not fit torch."""
    timm_models.timm_architecture.cache_clear()
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)


def _problem() -> str:
    """What a request for a model of timm is told; the only thing that is wrong with it."""
    with pytest.raises(InvalidRequest) as caught:
        prepare(JobRequest.model_validate({"task": "digits", "architecture": "timm:resnet18"}))
    (problem,) = caught.value.problems
    assert problem.field == "architecture.name"
    return problem.message


@pytest.mark.usefixtures("no_timm")
def test_without_timm_a_request_is_told_what_to_install() -> None:
    assert "pip install 'actsearch[timm]'" in _problem()


@pytest.mark.usefixtures("misfit")
@pytest.mark.parametrize(("cuda", "mend"), [(None, "its build for CPUs"), ("13.0", "for CUDA 13.0")])
def test_with_a_torchvision_that_does_not_fit_a_request_is_told_which_one_does(
    cuda: str | None, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", cuda)
    message = _problem()
    assert mend in message
    assert "pytorch.org/get-started" in message
    assert torch.__version__ in message


@pytest.mark.usefixtures("torchvision")
def test_sites_are_the_models_places_with_their_channels() -> None:
    resnet = get_architecture("timm:resnet10t")
    sites = site_names(resnet, {}, IMAGE)
    assert [site for site, _ in sites][:3] == ["conv1.2", "conv1.5", "act1"]
    assert list(dict.fromkeys(stage for _, stage in sites)) == ["stage1", "stage2", "stage3"]
    assert describe(resnet).inputs == ["image"]
    module = build_module("timm:resnet10t", {}, IMAGE, {"network": ActivationSpec(family="srelu")}, seed=0)
    assert [a.channels for a in site_activations(module).values()][:3] == [24, 32, 64]
    assert module(torch.randn(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.usefixtures("torchvision")
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "convnext_atto", "mobilenetv3_small_050"])
def test_models_of_other_kinds_take_the_tasks_size(name: str) -> None:
    spec = InputSpec("image", (3, 32, 32), 4)
    module = build_module(f"timm:{name}", {}, spec, {"network": ActivationSpec(family="tanh")}, seed=0)
    assert module(torch.randn(2, 3, 32, 32)).shape == (2, 4)
    assert len(site_activations(module)) == len(site_names(get_architecture(f"timm:{name}"), {}, spec))


@pytest.mark.usefixtures("torchvision")
def test_names_and_sizes_that_do_not_fit_are_told() -> None:
    with pytest.raises(NotFound, match="timm:resnet18"):
        get_architecture("timm:resnet19")
    with pytest.raises(NotFound):
        get_architecture("timm:hf-hub:somebody/something")
    with pytest.raises(InvalidRequest, match=r"\(1, 8, 8\)"):
        site_names(get_architecture("timm:vit_tiny_patch16_224"), {}, IMAGE)


@pytest.mark.usefixtures("torchvision")
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
