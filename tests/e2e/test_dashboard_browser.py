"""A person opens the dashboard in a browser and sees the trials of a finished search."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from actsearch import Client

PATIENCE = 60_000
"""Milliseconds: a busy machine takes its time to draw a page."""


def test_the_dashboard_shows_the_trials_of_a_finished_search(service: Any, client: Client, page: Page) -> None:
    service.start_worker()
    job = client.submit(
        {
            "task": "digits",
            "architecture": {"name": "mlp", "parameters": {"depth": 1, "width": 8}},
            "space": {"families": ["relu", "gelu"]},
            "training": {"epochs": 1},
            "budget": {"trials": 4},
        }
    )
    done = job.wait(timeout=120)
    assert done.state == "completed", service.log_text()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))

    page.goto(f"{service.url}/dashboard")
    expect(page.get_by_text(str(job.id)).first).to_be_visible(timeout=PATIENCE)

    page.goto(f"{service.url}{done.dashboard}/trials")
    for trial in job.trials():
        listed = page.get_by_role("listitem").filter(has_text=f"Trial {trial.number}").filter(has_text="Complete")
        expect(listed.first).to_be_visible(timeout=PATIENCE)
    page.get_by_text(f"Trial {job.best().number}").first.click()
    expect(page.get_by_text(str(job.best().value)[:5]).first).to_be_visible(timeout=PATIENCE)
    assert problems == []
