"""Every registered method passes the conformance checks that third parties are offered."""

from __future__ import annotations

import pytest

from baselines.registry import METHODS
from baselines.testing import CHECKS


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__.removeprefix("check_"))
def test_method(method, check):
    check(method.load())
