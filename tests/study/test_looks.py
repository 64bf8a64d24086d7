"""When the evidence is judged, at which level, and when one goes on."""

from __future__ import annotations

import pytest

from actsearch.study.judging.looks import Look, is_hopeless, is_open, plan_looks


def test_a_look_halfway_ends_it_only_without_hope_and_an_extension_begins_only_with_some() -> None:
    assert is_hopeless([0.51, 0.9])
    assert not is_hopeless([0.5, 0.9])
    assert not is_hopeless([0.9, 0.5])
    assert is_open([0.9, 0.19])
    assert not is_open([0.9, 0.2])
    assert not is_open([])


@pytest.mark.parametrize(
    ("plan", "looks"),
    [
        ((3, 3, 1, 0.95, True), [Look(3, 0.05)]),
        ((4, 4, 1, 0.95, True), [Look(4, 0.05)]),  # two seeds are no look
        ((5, 5, 1, 0.95, True), [Look(3, 0.0), Look(5, 0.05)]),
        ((6, 6, 1, 0.95, False), [Look(6, 0.05)]),
        ((6, 9, 1, 0.95, False), [Look(6, 0.035), Look(9, 0.015)]),
        ((10, 15, 3, 0.95, True), [Look(5, 0.01, early=True), Look(10, 0.025), Look(15, 0.015)]),
        ((9, 9, 3, 0.95, True), [Look(5, 0.01, early=True), Look(9, 0.04)]),
        # A level so strict that the early p is not known to keep it: the look only gives up.
        ((10, 10, 1, 0.996, True), [Look(5, 0.0), Look(10, 0.004)]),
        ((10, 10, 1, 0.994, True), [Look(5, 0.0), Look(10, 0.006)]),
        # 2 / 2^8 is at most 0.2 * 0.05 for one finalist, and for two it is so at nine seeds.
        ((16, 16, 1, 0.95, True), [Look(8, 0.01), Look(16, 0.04)]),
        ((16, 16, 2, 0.95, True), [Look(8, 0.01, early=True), Look(16, 0.04)]),
        ((18, 18, 2, 0.95, True), [Look(9, 0.01), Look(18, 0.04)]),
    ],
)
def test_planned_looks(plan: tuple[int, int, int, float, bool], looks: list[Look]) -> None:
    seeds, most, finalists, level, early = plan
    found = plan_looks(seeds, most, finalists, level, early=early)
    assert [(look.seeds, look.early) for look in found] == [(look.seeds, look.early) for look in looks]
    assert [look.alpha for look in found] == pytest.approx([look.alpha for look in looks])
