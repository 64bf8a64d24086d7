"""An activation as one would write it."""

from __future__ import annotations

import pytest

from actsearch.schemas import ActivationSpec, JobRequest


@pytest.mark.parametrize(
    ("family", "parameters", "text"),
    [
        ("relu", {}, "relu"),
        ("leaky_relu", {"slope": 0.123456}, "leaky_relu(slope=0.123)"),
        ("aptx", {"beta": 1.0, "alpha": 1.0, "gamma": 0.5}, "aptx(beta=1, alpha=1, gamma=0.5)"),
        ("apl", {"a1": 0.1, "b1": 0.0, "a2": 0.1, "b2": 0.0}, "apl(a1=0.1, a2=0.1, b1=0, b2=0)"),
        # in the order in which PostgreSQL's JSONB gives them back
        (
            "spline",
            {f"c{k}": 0.0 for k in range(10)} | {"base": 1.0, "c10": 0.0, "knots": 11.0},
            "spline(base=1, knots=11, c0 to c10=0)",
        ),
        (
            "spline",
            {"knots": 6.0, "base": 1.0, "c0": 0.0, "c1": 0.0, "c2": 0.0, "c3": 2.5, "c4": 0.0, "c5": 0.0},
            "spline(knots=6, base=1, c0 to c2=0, c3=2.5, c4=0, c5=0)",
        ),
    ],
)
def test_values_are_written_out_and_equal_numbered_ones_together(
    family: str, parameters: dict[str, float], text: str
) -> None:
    assert ActivationSpec(family=family, parameters=parameters).text == text


def test_an_expression_stands_for_itself() -> None:
    spec = ActivationSpec(family="expression", expression="x * sigmoid(b * x)", parameters={"b": 2.0})
    assert spec.text == "x * sigmoid(b * x), b=2"
    assert ActivationSpec(family="expression", expression="sin(x)").text == "sin(x)"


def test_a_baseline_may_be_given_by_its_familys_name() -> None:
    given = [{"family": "sine"}, ActivationSpec(family="sine"), "sine", None]
    requests = [JobRequest.model_validate({"task": "digits", "architecture": "mlp", "baseline": b}) for b in given]
    assert [r.baseline for r in requests] == [ActivationSpec(family="sine")] * 3 + [None]
