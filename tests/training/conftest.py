"""Trainings here are of seconds, so the machine's speed is not measured for their MFU, which takes as long."""

from collections.abc import Iterator

import pytest

from ropelab.training import flops


@pytest.fixture(scope="session", autouse=True)
def known_speed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flops, "measured_peak", lambda: 1e11)
        yield
