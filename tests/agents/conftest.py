import pytest

import acs_gym


@pytest.fixture(scope="session")
def task() -> acs_gym.Task:
    return acs_gym.make_task("ACS-OTA5T-v0", pdk="generic")
