"""What is written of the speed, and when: every so many steps, and before whatever is no training."""

from typing import Any

import numpy as np
import pytest
from tqdm import tqdm

from ropelab.data.batch import Batch
from ropelab.training.metrics import SPEED_EVERY, Reporter
from ropelab.training.step import SkipConfig, StepMetrics

BATCH = Batch(*(np.zeros((1, 1), np.int32) for _ in Batch._fields))


class Kept:
    """Records in memory."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, Any]]] = []

    def add(self, table: str, row: dict[str, Any]) -> None:
        self.rows.append((table, row))

    def speeds(self) -> list[dict[str, Any]]:
        return [row for table, row in self.rows if table == "speed"]


def figures() -> StepMetrics:
    made: dict[str, Any] = {name: np.asarray(0) for name in StepMetrics._fields}
    return StepMetrics(
        **made | {"loss": np.asarray(1.0), "norm": np.asarray(1.0), "tokens": np.asarray(7), "taken": True}
    )


@pytest.mark.parametrize(
    ("pauses", "steps"),
    [((10, 20), [10, 20]), ((), [SPEED_EVERY]), ((SPEED_EVERY + 3,), [SPEED_EVERY, SPEED_EVERY + 3])],
)
def test_a_run_that_measures_often_has_a_speed_too(pauses: tuple[int, ...], steps: list[int]) -> None:
    kept = Kept()
    reporter = Reporter(kept, SkipConfig(), tqdm(disable=True), tokens=0, peak=1.0)  # pyright: ignore[reportArgumentType]
    for step in range(1, SPEED_EVERY + 5):
        reporter.happened(step, figures(), BATCH, flops=2.0)
        if step in pauses:
            reporter.pause()
            reporter.pause()
            reporter.rest()
    assert [row["step"] for row in kept.speeds()][: len(steps)] == steps
    assert all(row["tokens_per_second"] > 0 and row["peak_memory_gib"] > 0 for row in kept.speeds())
    assert len([row for table, row in kept.rows if table == "metrics"]) >= SPEED_EVERY + 3
