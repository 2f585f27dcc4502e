"""The page on optimisers: its code runs, its method conforms, its table is complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from baselines.registry import METHODS
from baselines.testing import ConformanceTests

TEXT = (Path(__file__).parents[2] / "docs" / "optimizers.md").read_text(encoding="utf-8")
FIRST, CONDITIONS, WALK, _SUITE = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)


def test_the_first_example_runs(capsys):
    exec(FIRST, {})
    assert "i_bias" in capsys.readouterr().out


def test_some_conditions_and_then_the_rest(capsys):
    exec(CONDITIONS, {})
    assert capsys.readouterr().out.split() == ["2", "23", "False", "True"]


class TestWalk(ConformanceTests):
    @pytest.fixture
    def method(self):
        names = {}
        exec(WALK, names)
        return names["Walk"]


def test_the_table_says_what_the_registry_says():
    for method in METHODS:
        if method.name in ("constant", "oracle"):
            continue
        (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{method.name}` |")]
        _, _, sees, _, extra, _ = (cell.strip() for cell in row.split("|"))
        assert sees == method.track
        assert extra == (f"`{','.join(method.extras)}`" if method.extras else "")
