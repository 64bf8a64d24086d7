"""Reports through the API."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def job(submit: Any, finish: Any) -> str:
    """A job with twelve finished trials, one of them failed."""
    made = submit(name=HOSTILE)
    finish(made["id"], [0.7, 0.8, 0.75, None, 0.72, 0.81, 0.74, 0.6, 0.71, 0.79, 0.73, 0.61])
    return str(made["id"])


def test_the_page_is_html_that_may_not_run_or_fetch_anything(http: Any, job: str) -> None:
    answer = http.get(f"/v1/jobs/{job}/report")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert HOSTILE not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "elu" in answer.text
    assert "0.81" in answer.text


def test_charts_come_as_pictures(http: Any, job: str) -> None:
    drawn = http.get(f"/v1/jobs/{job}/report", params={"format": "svg", "chart": "families"})
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert ET.fromstring(drawn.content).tag.endswith("svg")
    bitmap = http.get(f"/v1/jobs/{job}/report", params={"format": "png", "chart": "history"})
    assert bitmap.headers["content-type"] == "image/png"
    assert bitmap.content.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"format": "svg"}, 422, "name the chart"),
        ({"chart": "shape"}, 422, "the page has all charts"),
        ({"format": "svg", "chart": "pie"}, 422, "chart"),
        ({"format": "pdf"}, 422, "format"),
        ({"format": "svg", "chart": "pareto"}, 404, "pareto"),
    ],
)
def test_what_cannot_be_drawn_is_said(http: Any, job: str, query: dict[str, str], status: int, words: str) -> None:
    answer = http.get(f"/v1/jobs/{job}/report", params=query)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_a_job_that_has_not_begun_has_a_report(http: Any, submit: Any) -> None:
    answer = http.get(f"/v1/jobs/{submit()['id']}/report")
    assert answer.status_code == 200
    assert "No trial is complete yet" in answer.text
    assert http.get("/v1/jobs/00000000-0000-7000-8000-000000000000/report").status_code == 404
