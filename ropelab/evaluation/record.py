"""Records: one number per row, with everything that it depends on in columns.

A record is the mean of `count` values whose standard deviation is `deviation`, so the records of parts combine into the
record of the whole, in one way everywhere (`pool`, Chan, Golub and LeVeque 1979):

    mean       sum_i count_i mean_i / count                                          count = sum_i count_i
    deviation  sqrt( sum_i ((count_i - 1) deviation_i^2 + count_i (mean_i - mean)^2) / (count - 1) )

The deviation of the whole is unknown where that of a part with more than one value is. This module needs numpy at most,
so that reports read records without jax.
"""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """How numbers were made, apart from what the columns of a record say.

    Attributes:
        model, weights: the checkpoint by name, and the fingerprint of its parameters.
        text, text_sha256: where the text came from, and the hash of its bytes.
        method: how the evaluation makes its numbers, in one line.
        compute: dtype, and the kernel where one was requested for all variants.
        versions: packages and settings that affect rounding.
    """

    model: str = ""
    weights: str = ""
    text: str = ""
    text_sha256: str = ""
    method: str = ""
    compute: str = ""
    versions: str = ""

    def line(self) -> str:
        """Return the protocol as one line of text."""
        model = f"model {self.model} (weights {self.weights})" if self.weights else self.model
        text = f"text {self.text} (sha256 {self.text_sha256[:12]})" if self.text_sha256 else self.text
        return "; ".join(part for part in (model, text, self.method, self.compute, self.versions) if part)

    def key(self) -> str:
        """Return the short hash by which records refer to the protocol in files."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self)).encode()).hexdigest()[:12]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """One number.

    Attributes:
        model: checkpoint or training.
        variant: name of the compared variant, as tables print it.
        encoding, pattern, kernel: what the variant runs, as specs.
        window: tokens of the pieces that the text was chopped into; None if it was read whole.
        evaluation, metric: what was measured, such as "passkey" and "score".
        length: tokens of context.
        first, last: the positions [first, last) that were scored; None for all.
        depth: where in the text the answer is, from 0 (beginning) to 1 (end).
        seed: of a training, or of everything sampled.
        step: of a training.
        layer, head: for numbers of one layer or head.
        value: the mean; None if undefined.
        count: how many values it is the mean of.
        deviation: their standard deviation, or sqrt(count) times the standard error of a number that is no mean
            (`intervals.jackknife_deviation`); None if unknown.
        protocol: how it was made.
        sources: where the record was read from, as `file:line`; not a column of files.
    """

    model: str = ""
    variant: str = ""
    encoding: str = ""
    pattern: str = ""
    kernel: str = ""
    window: int | None = None
    evaluation: str
    metric: str
    length: int
    first: int | None = None
    last: int | None = None
    depth: float | None = None
    seed: int = 0
    step: int | None = None
    layer: int | None = None
    head: int | None = None
    value: float | None
    count: int
    deviation: float | None = None
    protocol: Protocol = Protocol()
    sources: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        """The value, NaN if undefined."""
        return math.nan if self.value is None else self.value

    @property
    def distance(self) -> int:
        """Tokens from the end of the text to the answer; needs a depth."""
        assert self.depth is not None
        return round((1 - self.depth) * self.length)

    def replace(self, **changes: Any) -> "Record":
        """Return a copy with other values in some columns."""
        return dataclasses.replace(self, **changes)

    def row(self) -> dict[str, Any]:
        """Return the columns as files have them, the protocol by its key."""
        return {name: getattr(self, name) for name in COLUMNS} | {"protocol": self.protocol.key()}


COLUMNS = tuple(field.name for field in dataclasses.fields(Record) if field.name != "sources")
NUMBERS = ("value", "count", "deviation")
IDENTITY = tuple(name for name in COLUMNS if name not in NUMBERS)
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Record)}

Part = tuple[float | None, int, float | None]


def pool(first: Part, second: Part) -> Part:
    """Combine two parts, each `(mean, count, deviation)`; a part without a value or with a count of 0 adds nothing."""
    (mean, n, sd), (other, m, other_sd) = first, second
    if other is None or not m:
        return first
    if mean is None or not n:
        return second
    total = n + m
    squares = [0.0 if k < 2 else None if s is None else (k - 1) * s**2 for k, s in ((n, sd), (m, other_sd))]
    deviation = None
    if None not in squares:
        between = (other - mean) ** 2 * n * m / total
        deviation = math.sqrt((sum(s for s in squares if s is not None) + between) / (total - 1))
    return (mean * n + other * m) / total, total, deviation


def aggregate(records: Iterable[Record], by: Sequence[str] = IDENTITY) -> list[Record]:
    """Pool the records that agree in some columns, in the order in which each combination first appears.

    Args:
        by: the columns that keep records apart; all that identify one by default, so that parts measured by several
            processes combine. A column that is not named keeps its value where all pooled records share it, and has
            its default otherwise.
    """
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(getattr(record, name) for name in by), []).append(record)
    return [_combine(group, by) for group in groups.values()]


def _combine(group: Sequence[Record], by: Sequence[str]) -> Record:
    first = group[0]
    if len(group) == 1:
        return first
    numbers: Part = (first.value, first.count, first.deviation)
    for record in group[1:]:
        numbers = pool(numbers, (record.value, record.count, record.deviation))
    mixed = {
        name: _DEFAULTS[name]
        for name in IDENTITY
        if name not in by and any(getattr(record, name) != getattr(first, name) for record in group)
    }
    sources = tuple(source for record in group for source in record.sources)
    return first.replace(**dict(zip(NUMBERS, numbers, strict=True)), **mixed, sources=sources)


_PLACE = re.compile(r"^(?:(?P<metric>.*)\.)?layer_(?P<layer>\d+)\.head_(?P<head>\d+)$")
_LAST = re.compile(r"^nll_last_(\d+)$")
_ARM = re.compile(r"^(?P<arm>.+)-(?P<seed>\d+)@(?P<step>\d+)$")
_CHOPPED = re.compile(r"^unchanged, chopped at (\d+)$")


def upgrade_0_1(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a record that ropelab 0.1 wrote, which had some of them inside of names.

    arm "pi2-0@25"                        variant "pi2", seed 0, step 25
    arm "unchanged, chopped at 2048"      window 2048
    eval "resolution.layer_03.head_11"    evaluation "resolution", metric "resolution", layer 3, head 11
    eval "perplexity.nll_last_512"        evaluation "perplexity", metric "nll_tail", positions of the last 512
    """
    evaluation, _, metric = row["eval"].partition(".")
    found: dict[str, Any] = {"evaluation": evaluation, "variant": row["arm"], "protocol": row["protocol"]}
    found |= {name: row[name] for name in ("length", "depth", "seed", *NUMBERS) if name in row}
    if place := _PLACE.match(metric):
        metric = place["metric"] or ""
        found |= {"layer": int(place["layer"]), "head": int(place["head"])}
    if tail := _LAST.match(metric):
        metric = "nll_tail"
        found |= {"first": row["length"] - int(tail[1]), "last": row["length"]}
    if run := _ARM.match(row["arm"]):
        found |= {"variant": run["arm"], "seed": int(run["seed"]), "step": int(run["step"])}
    if chopped := _CHOPPED.match(row["arm"]):
        found["window"] = int(chopped[1])
    return found | {"metric": metric or MAIN_METRICS.get(evaluation, "score")}


MAIN_METRICS = {"resolution": "resolution"}  # of 0.1's evaluations whose own number had no name; "score" otherwise
