"""The report's page and charts, without a service."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

import pytest

from actsearch.report import CHARTS, picture, report_page
from actsearch.schemas import ActivationSpec

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> & \" ' $x_1$ </title>"


class Reader(HTMLParser):
    """What a browser would find: elements, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)
        self.text = re.sub(r"\s+", " ", "".join(self.words))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_says_what_was_found(findings_of: Any) -> None:
    page = Reader(report_page(findings_of()))
    said = ["a job", "elu(alpha=0.5) reaches 0.8 accuracy", "best of the baseline's family, 0.72", "not confirmed"]
    for words in [*said, "nn.ELU(0.5)", "learning_rate 0.01", "2.13", '"task": { "name": "digits"']:
        assert words in page.text, words
    assert page.elements.count("svg") == 5


def test_nothing_is_fetched_and_nothing_runs(findings_of: Any) -> None:
    text = report_page(findings_of(several=True))
    page = Reader(text)
    assert not {"script", "link", "iframe", "object", "embed", "img", "form"} & set(page.elements)
    assert not any(name.startswith("on") for name, _ in page.attributes)
    links = [value for name, value in page.attributes if name in ("href", "src", "xlink:href")]
    assert all(value is not None and value.startswith("#") for value in links)
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text


def test_names_are_text_wherever_they_stand(findings_of: Any) -> None:
    page = report_page(findings_of(HOSTILE))
    read = Reader(page)
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>chip" not in page
    assert HOSTILE in read.text
    assert not any(name.startswith("on") for name, _ in read.attributes)


def test_expressions_are_text_in_charts_too(findings_of: Any) -> None:
    trials = list(findings_of().trials)
    spec = ActivationSpec(family="expression", expression="max(x, 0) * (x < $1)")
    trials[1] = trials[1].model_copy(update={"activations": {"network": spec}, "family": "<i>$x$ & y"})
    drawn = picture("families", findings_of(trials=trials), "svg")
    assert drawn is not None
    assert "<i>$x$ & y" in "".join(ET.fromstring(drawn).itertext())


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("name", list(CHARTS))
def test_charts_are_pictures_or_nothing(findings_of: Any, name: Any, several: bool) -> None:
    found = findings_of(several=several)
    expected = name != "verdict" and (several or name not in ("pareto", "hypervolume"))
    plain, inline, bitmap = (picture(name, found, form) for form in ("svg", "inline", "png"))
    assert [drawn is not None for drawn in (plain, inline, bitmap)] == [expected] * 3
    if plain is None or inline is None or bitmap is None:
        return
    assert ET.fromstring(plain).tag == ET.fromstring(b"<x xmlns:xlink='x'>" + inline + b"</x>")[0].tag
    assert b"currentColor" in inline
    assert bitmap.startswith(b"\x89PNG")
    assert picture(name, found, "svg") == plain


def test_a_job_without_results_has_a_page(findings_of: Any) -> None:
    page = Reader(report_page(findings_of(trials=[])))
    assert "No trial is complete yet" in page.text
    assert "svg" not in page.elements


def test_layers_with_different_activations_are_all_shown(findings_of: Any) -> None:
    trials = list(findings_of().trials)
    specs = {"layer1": ActivationSpec(family="tanh"), "layer2": ActivationSpec(family="relu")}
    trials[1] = trials[1].model_copy(update={"activations": specs, "family": "tanh+relu"})
    page = Reader(report_page(findings_of(trials=trials)))
    assert "layer1: tanh, layer2: relu" in page.text
    assert "nn.Tanh()" in page.text
    assert "nn.ReLU()" in page.text
