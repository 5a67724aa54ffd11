"""A task as an evaluation, on a model that knows nothing and on one that knows everything."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.data.tasks import Copy, Needle
from ropelab.evaluation.evals import registry
from ropelab.evaluation.evals.base import EvalContext
from ropelab.evaluation.evals.tasks import TaskEval
from tests.errors import names
from tests.models import tiny

NOTHING = np.zeros(0, np.int32)


class Knows:
    """A model that copies: at the sign and after it, the token as far back as the question is long.

    Attributes:
        slips: how many of the last answers it gets wrong.
    """

    config = tiny.lab().config

    def __init__(self, slips: int = 0) -> None:
        self.slips = slips

    def check_positions(self, length: int) -> None: ...

    def logits(self, tokens: np.ndarray, segments: Any = None) -> Any:
        B, T = tokens.shape
        said = np.zeros((B, T), int)
        for row in range(B):
            sign = int(np.argmax(tokens[row] == 1))
            said[row, sign : 2 * sign] = tokens[row, :sign]
            said[row, 2 * sign - self.slips : 2 * sign] = 96
        return jnp.eye(tiny.VOCABULARY)[said]


def context(model: Any) -> EvalContext:
    return EvalContext(model, None, NOTHING, seed=0)


@pytest.mark.parametrize(("slips", "whole"), [(0, 1.0), (1, 0.0)])
def test_an_answer_is_right_as_a_whole_and_token_by_token(slips: int, whole: float) -> None:
    task = TaskEval(task=Copy(symbols=9), trials=20)
    (case,) = task.cases([22])
    answered = {one.metric: one for one in task.measure(context(Knows(slips)), case, lambda n: None)}
    assert (answered["score"].value, answered["score"].count) == (whole, 20)
    assert answered["token"].count == 20 * 11, "ten symbols and the end"
    assert answered["token"].value == pytest.approx((11 - slips) / 11)


def test_a_model_that_knows_nothing_guesses() -> None:
    task = TaskEval(task=Copy(symbols=9), trials=10)
    (case,) = task.cases([22])
    answered = {one.metric: one.value for one in task.measure(context(tiny.lab().model), case, lambda n: None)}
    assert answered["score"] == 0.0
    assert answered["token"] < 0.4


def test_distances_are_pis_and_the_farthest_is_the_beginning() -> None:
    task = TaskEval(task=Needle(symbols=8, told=2), distances=8)
    cases = task.cases([64])
    distances = [task.task_at(case).distance for case in cases]  # pyright: ignore[reportAttributeAccessIssue]
    assert distances == [8, 16, 24, 32, 40, 48, 56, 61]
    for case in cases:
        task.check(context(tiny.lab().model), case)
    with pytest.raises(ValueError, match="distance"):
        TaskEval(task=Copy(), distances=4)
    wide = TaskEval(task=Copy(symbols=200))
    with pytest.raises(ValueError, match=names(202, 97)):
        wide.check(context(tiny.lab().model), wide.cases([64])[0])


def test_tasks_are_named_as_they_are_trained_on() -> None:
    found = registry.parse("Copy(symbols=9), solved(task=Needle(told=1), distances=4, trials=5), kmax(distances=8)")
    assert list(found) == ["Copy(symbols=9)", "solved Needle(told=1)", "kmax"]
    assert found["Copy(symbols=9)"] == TaskEval(task=Copy(symbols=9))
    assert found["solved Needle(told=1)"] == TaskEval(task=Needle(told=1), distances=4, trials=5)
