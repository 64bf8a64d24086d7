"""`/docs` in a real browser: it shows the whole API and asks nobody but this service."""

from __future__ import annotations

import httpx
from playwright.sync_api import Page


def test_it_shows_every_operation_and_asks_no_other_host(page: Page, address: str) -> None:
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}/docs")
    page.wait_for_selector(".opblock")
    shown = page.locator(".opblock").count()
    document = httpx.get(f"{address}/openapi.json").json()
    assert shown == sum(len(operations) for operations in document["paths"].values())
    assert [url for url in asked if not url.startswith((f"{address}/", "data:"))] == []
    page.locator("#operations-health-healthz_healthz_get .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    page.wait_for_selector(".live-responses-table")
    assert '"status": "ok"' in page.locator(".live-responses-table").inner_text()
    assert complaints == []


def test_its_policy_allows_this_service_alone(address: str) -> None:
    policy = httpx.get(f"{address}/docs").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert httpx.get(f"{address}/redoc").status_code == 404
