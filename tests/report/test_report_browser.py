"""The report in a real browser: alone on disk, light, dark, narrow and on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from actsearch.report import report_page


@pytest.fixture
def page(page: Page) -> Page:
    """A page without any network."""
    page.set_viewport_size({"width": 1100, "height": 900})
    page.context.set_offline(True)
    return page


def test_the_page_stands_alone_and_shows_everything(page: Page, findings_of: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(report_page(findings_of("<script>document.title='taken'</script>", several=True)))
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))

    page.goto(file.as_uri())

    assert asked == [file.as_uri()]
    assert problems == []
    assert "taken" not in page.title().replace("document.title='taken'", "")
    assert page.locator("h1").inner_text() == "<script>document.title='taken'</script>"
    drawn = page.locator("figure svg")
    assert drawn.count() == 7
    for index in range(drawn.count()):
        box = drawn.nth(index).bounding_box()
        assert box is not None
        assert box["width"] > 500
        assert box["height"] > 100

    page.emulate_media(color_scheme="dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    ink = page.locator("figure svg text").first.evaluate("e => getComputedStyle(e).fill")
    page.emulate_media(color_scheme="light")
    assert dark != page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ink != page.locator("figure svg text").first.evaluate("e => getComputedStyle(e).fill")

    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390  # charts and tables scroll, the page does not
    paper = page.pdf()
    assert paper.startswith(b"%PDF")
