"""A claim is reproduced if it holds in every seed and its interval is above 0, else at most its direction is."""

import math

import pytest

from ropelab.reporting.claims import Claim, One, below, falling, judged, percent
from ropelab.reporting.readings import Number, Readings


def readings(**arms: dict[int, list[float]]) -> Readings:
    """Arm → column → a value a seed."""
    return {
        arm: {c: {seed: Number(v, (f"{arm}:{seed}",)) for seed, v in enumerate(values)} for c, values in by.items()}
        for arm, by in arms.items()
    }


LESS = Claim("a is below b", below(("a", 1), ("b", 1)))


@pytest.mark.parametrize(
    ("of_a", "word", "seeds"),
    [
        ([1.0, 1.0, 1.0], "reproduced", (3, 3)),
        ([1.0, 3.0, 1.0], "not reproduced", (2, 3)),
        ([2.0, 1.0, 1.0], "not reproduced", (2, 3)),  # equal is not below
    ],
)
def test_every_seed_decides(of_a, word, seeds):
    (verdict,) = judged([LESS], readings(a={1: of_a}, b={1: [2.0, 2.0, 2.0]}))
    assert (verdict.word, verdict.seeds) == (word, seeds)


def test_the_margin_is_the_mean_with_student_s_interval():
    (verdict,) = judged([LESS], readings(a={1: [1.0, 1.0, 1.0]}, b={1: [1.1, 1.2, 1.3]}))
    logs = [math.log(b) for b in (1.1, 1.2, 1.3)]
    mean = sum(logs) / 3
    half = 4.3027 * math.sqrt(sum((x - mean) ** 2 for x in logs) / 2) / math.sqrt(3)
    assert verdict.margin == f"{percent(mean)} [{percent(mean - half)}, {percent(mean + half)}]"


def test_one_seed_has_no_interval_and_gives_a_direction():
    (verdict,) = judged([LESS], readings(a={1: [1.0]}, b={1: [1.25]}))
    assert (verdict.word, verdict.margin) == ("direction only", "+25.0 %")


@pytest.mark.parametrize(("of_b", "word"), [([1.2, 1.2, 1.3], "reproduced"), ([1.01, 1.02, 1.3], "direction only")])
def test_an_interval_that_includes_zero_leaves_the_direction(of_b, word):
    (verdict,) = judged([LESS], readings(a={1: [1.0] * 3}, b={1: of_b}))
    assert (verdict.word, verdict.seeds) == (word, (3, 3))


def test_what_is_computed_needs_no_interval():
    (verdict,) = judged([LESS._replace(exact=True)], readings(a={1: [1.0]}, b={1: [1.25]}))
    assert verdict.word == "reproduced"


def test_an_infinite_margin_has_no_interval():
    (verdict,) = judged([LESS], readings(a={1: [1.0, 1.0]}, b={1: [2.0, math.inf]}))
    assert (verdict.word, verdict.seeds) == ("direction only", (2, 2))


def test_what_was_not_run_is_not_testable_and_says_why():
    claim = LESS._replace(why="it needs b")
    (verdict,) = judged([claim], readings(a={1: [1.0]}))
    assert verdict == (LESS.text, "not testable at this size", (0, 0), "", "it needs b")


def test_a_seed_that_has_not_all_arms_is_not_asked():
    (verdict,) = judged([LESS], readings(a={1: [1.0, 5.0]}, b={1: [2.0]}))
    assert (verdict.word, verdict.seeds) == ("direction only", (1, 1))


@pytest.mark.parametrize(("values", "holds"), [((9.0, 4.0, 3.0, 2.0), True), ((1.0, 4.0, 3.0, 3.5), False)])
def test_falling_looks_from_a_column_on(values, holds):
    found = readings(a={c: [v] for c, v in zip((1, 2, 4, 8), values, strict=True)})
    assert (falling("a", 2)(One(found, 0)) > 0) == holds
