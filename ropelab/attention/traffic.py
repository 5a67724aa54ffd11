"""Bytes that a device receives from the others: by formula, and as read from a compiled program.

With s the bytes of one token's keys, values and position, n devices and l = T / n tokens on each:

    AllGather, Ring    (n - 1) l s                                         forward; a ring's keys come back as well
    SparseGather       sum over branches w > l of (w / l - 1) (l / r) s'   s' counts each pair of key head and offset
"""

import json
import math
import re
from collections import Counter

from ropelab.attention.exchanges import Exchange, SparseGather
from ropelab.attention.formula import Pattern
from ropelab.attention.patterns.dilated import Dilated

_BYTES = {"f64": 8, "s64": 8, "f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2, "pred": 1}
_KINDS = ("all-gather", "collective-permute", "reduce-scatter", "all-reduce", "all-to-all")
SHAPE = re.compile(r"(\w+)\[([\d,]*)\]")


def estimate_forward_bytes(
    exchange: Exchange,
    pattern: Pattern,
    *,
    tokens: int,
    devices: int,
    heads: int,
    key_heads: int,
    head_dim: int,
    batch: int = 1,
    itemsize: int = 4,
) -> int:
    """Return the bytes that one device receives in a forward pass of one layer, for one view of the keys."""
    local = tokens // devices
    token = batch * (2 * key_heads * head_dim * itemsize + 4)
    if not isinstance(exchange, SparseGather):
        return (devices - 1) * local * token
    assert isinstance(pattern, Dilated)
    total = 0
    for w, r in pattern.branches:
        others = min(w // local, devices) - 1
        for mine in pattern.group_heads_by_offset(heads, r).values():
            kept = len({head // (heads // key_heads) for head in mine})
            total += max(others, 0) * local // r * batch * (2 * kept * head_dim * itemsize + 4)
    return total


def count_received_bytes(hlo: str) -> Counter[str]:
    """Count the bytes received by one device per kind of collective of a compiled program, with all loop trips.

    Args:
        hlo: `compiled.as_text()` of a jitted function.
    """
    bodies = dict(re.findall(r"^%?([\w.\-]+) [^\n]*\{\n(.*?)^\}", hlo, re.M | re.S))
    entry = re.search(r"^ENTRY %?([\w.\-]+)", hlo, re.M)
    assert entry is not None
    bodies[entry[1]] = hlo[entry.start() :].split("\n}", 1)[0]
    total: Counter[str] = Counter()
    _add_computation(entry[1], 1, bodies, total)
    return total


def _add_computation(name: str, times: int, bodies: dict[str, str], total: Counter[str]) -> None:
    """Add the bytes that one computation receives, and those of the computations that it calls."""
    for line in bodies.get(name, "").splitlines():
        kind = next((k for k in _KINDS if re.search(rf" {k}(-start)?\(", line)), None)
        if kind is not None:
            total[kind] += times * _count_line_bytes(kind, line)
        trips = re.search(r'"known_trip_count":(\{[^}]*\})', line)
        often = int(json.loads(trips[1])["n"]) if trips else 1
        for called in re.findall(r"(?:body|to_apply|calls)=%?([\w.\-]+)", line):
            _add_computation(called, times * often, bodies, total)


def _count_line_bytes(kind: str, line: str) -> int:
    """Return the bytes that one collective sends to a device: its result without the part already there."""
    result = line.split(" = ", 1)[1].split(f" {kind}", 1)[0]
    shapes = SHAPE.findall(result)
    size = sum(_BYTES[dtype] * math.prod(map(int, filter(None, dims.split(",")))) for dtype, dims in shapes)
    if kind == "collective-permute":
        return size
    n = _parse_group_size(line)
    return {"all-gather": size * (n - 1) // n, "reduce-scatter": size * (n - 1)}.get(kind, 2 * size * (n - 1) // n)


def _parse_group_size(line: str) -> int:
    """Return the number of devices of a collective, in any of XLA's three notations."""
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", line):
        return len(listed[1].split(","))
    if counted := re.search(r"replica_groups=\[\d+,(\d+)\]", line):
        return int(counted[1])
    named = re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", line)
    assert named is not None, f"unknown replica groups in {line}"
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", named[1]))
    return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", named[2]))
