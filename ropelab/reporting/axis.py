"""Where a value stands on an axis, and which values are written beside it: the same for every drawing of a chart."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
STEPS = (1.0, 2.0, 2.5, 5.0)
EQUAL = 1e-6  # of a value, within which two have no axis between them
NEAR = 0.02  # of an axis, within which a tight one goes on to the next tick
SUBDIVISIONS = ((1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))


class Axis(NamedTuple):
    """An axis from `low` to `high`, which differ; `ticks` are the values that are written beside it."""

    low: float
    high: float
    log: bool
    ticks: Sequence[float]

    def at(self, value: float) -> float:
        """How far along the axis a value stands: 0 at its low end, 1 at its high end, cut off beyond them.

        On a logarithmic axis all that is not positive stands at the low end.
        """
        if self.log and value <= 0:
            return 0.0
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def axis(
    values: Sequence[float], *, log: bool = False, most: int = 6, tight: bool = False, binary: bool = False
) -> Axis:
    """An axis that holds all finite values, on a logarithmic one the positive ones.

    Lengths that are each other's doublings have ticks at doublings.

    Args:
        most: ticks at most, 2 or more.
        tight: ends where the values do, or at a tick close by; else at a tick of a linear axis.
        binary: ticks of a linear axis at multiples of a power of two.
    """
    shown = [float(v) for v in values if math.isfinite(v) and (v > 0 or not log)] or [1.0, 10.0]
    low, high = min(shown), max(shown)
    if log:
        return logarithmic(shown, low, high, most)
    if high - low <= EQUAL * max(abs(low), abs(high)):
        low, high = low - (abs(low) / 2 or 1.0), high + (abs(high) / 2 or 1.0)
    if 0 < low < 0.1 * high:
        low = 0.0
    step = linear_step(low, high, most, (1.0,) if binary else STEPS, 2.0 if binary else 10.0)
    below, above = (end * step for end in ends(low, high, step))
    close = NEAR * (high - low)
    low = below if not tight or low - below < close else low
    high = above if not tight or above - high < close else high
    return Axis(low, high, False, linear_ticks(low, high, step))


def logarithmic(values: Sequence[float], low: float, high: float, most: int) -> Axis:
    """With a margin of one part in thirty beyond the lowest and the highest value."""
    if high - low <= EQUAL * high:
        low, high = low / 2, high * 2
    ticks = doublings(values, most) or log_ticks(low, high, most)
    margin = (high / low) ** (1 / 30)
    return Axis(low / margin, high * margin, True, ticks)


def linear_step(low: float, high: float, most: int, steps: Sequence[float] = STEPS, base: float = 10.0) -> float:
    """The smallest of some steps, times a power of the base, whose ticks from below `low` to above `high` are few."""
    power = math.floor(math.log((high - low) / most, base)) - 1
    candidates = (step * base ** (power + more) for more in itertools.count() for step in steps)
    return next(step for step in candidates if ends(low, high, step)[1] - ends(low, high, step)[0] < most)


def ends(low: float, high: float, step: float) -> tuple[int, int]:
    """The tick at or below `low` and the one at or above `high`, counted from 0."""
    return math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)


def linear_ticks(low: float, high: float, step: float) -> list[float]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{n * step:.10g}") for n in range(first, last + 1)]


def doublings(values: Sequence[float], most: int) -> list[float]:
    """The lowest value and its doublings, every second or third if there are many; none if the values are others."""
    lowest = min(values)
    powers = sorted({math.log2(v / lowest) for v in values})
    if len(powers) < 2 or any(abs(p - round(p)) > 1e-9 for p in powers):
        return []
    last = round(powers[-1])
    stride = math.ceil((last + 1) / most)
    return [lowest * 2.0**p for p in range(last % stride, last + 1, stride)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """As many round values as there is room for, powers of ten alone over many decades."""
    if high / low < 4:
        return linear_ticks(low, high, linear_step(low, high, most))
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for subdivision in SUBDIVISIONS:
        every = [m * 10.0**p for p in range(first, last + 1) for m in subdivision]
        ticks = [float(f"{v:.10g}") for v in every if low * 0.999 <= v <= high * 1.001]
        if 2 <= len(ticks) <= most:
            return ticks
    stride = math.ceil((last - first + 1) / most)
    return [10.0**p for p in range(first, last + 1, stride) if low * 0.999 <= 10.0**p <= high * 1.001]


def labels(ticks: Sequence[float]) -> list[str]:
    """Ticks as text: long round ones all in thousands or millions, as "500k", others as they are."""
    largest = max(map(abs, ticks), default=0.0)
    if largest < 1e5 or any(tick % 1e3 for tick in ticks):
        return [label(tick) for tick in ticks]
    unit, letter = (1e6, "M") if largest >= 1e6 else (1e3, "k")
    return [label(tick / unit) + letter if tick else "0" for tick in ticks]


def label(value: float) -> str:
    """A value as text: plain up to ten millions, then as "2·10⁹"."""
    if value and not 1e-4 <= abs(value) < 1e7:
        mantissa, power = f"{value:.9e}".split("e")
        times = "" if float(mantissa) == 1 else f"{float(mantissa):.10g}·"
        return f"{times}10{str(int(power)).translate(SUPERSCRIPTS)}"
    return f"{value:.10g}".replace("-", "−")
