"""How the time of attention grows with the text: dilated beside full attention.

    python -m experiments.papers.longnet.runtime --dense=1024,4096,16384 --workdir=runs/runtime \\
        --dilated=1024,4096,16384,65536

Reproduces: the runtime figure of LongNet (arXiv 2307.02486): seconds of a forward pass, its branches the segments
`first` times 4, 16, ... that fit the text at the rates 4, 16, .... Runs alternate between the two where both are
measured, and the fastest of each counts. Written to the workdir: records.jsonl, .csv. Exit code 0: done. 2: bad input.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from tqdm import tqdm

from ropelab.attention import Causal, Dilated, Pattern, attend
from ropelab.cli import launching
from ropelab.encodings import NoPE
from ropelab.evaluation.record import Protocol, Record
from ropelab.evaluation.store import describe_versions
from ropelab.reporting import files

HELP = {
    "dense": "Tokens at which full attention is measured.",
    "dilated": "Tokens at which dilated attention is measured.",
    "first": "Tokens of its first segment, which is not dilated.",
    "heads": "Heads, of 64 dimensions each.",
    "repeats": "Runs of each, after one that warms up.",
    "workdir": "Folder for everything that the command writes.",
}
RATIO, HEAD_DIM = 4, 64


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    for name, default in (("dense", "1024,4096,16384"), ("dilated", "1024,4096,16384,65536")):
        flags.DEFINE_list(name, default.split(","), HELP[name], flag_values=values)
    for name, default in (("first", 1024), ("heads", 4), ("repeats", 3)):
        flags.DEFINE_integer(name, default, HELP[name], 1, flag_values=values)
    flags.DEFINE_string("workdir", None, HELP["workdir"], flag_values=values)
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    workdir = launching.workdir_of(values, words)
    protocol = make_protocol(values.heads, values.first, values.repeats)
    asked = {
        "dense": launching.parse_lengths(values.dense, "dense"),
        "dilated": launching.parse_lengths(values.dilated, "dilated"),
    }
    records = []
    for length in tqdm(sorted({n for lengths in asked.values() for n in lengths}), unit="length"):
        patterns = {"dense": Causal(), "dilated": geometric(length, values.first)}
        runs = {arm: program(p, length, values.heads) for arm, p in patterns.items() if length in asked[arm]}
        for arm, seconds in fastest(runs, values.repeats).items():
            records.append(
                Record(
                    variant=arm,
                    pattern=repr(patterns[arm]),
                    kernel="blockwise",
                    evaluation="runtime",
                    metric="seconds",
                    length=length,
                    value=seconds,
                    count=values.repeats,
                    protocol=protocol,
                )
            )
            tqdm.write(f"{length:7d} tokens, {arm}: {seconds:.4f} s")
    files.write_records(workdir / "records.jsonl", records)
    files.write_json(workdir / "settings.json", {"command": command})
    return 0


def make_protocol(heads: int, first: int, repeats: int) -> Protocol:
    method = (
        f"forward pass of attention alone, batch 1, {heads} heads of {HEAD_DIM}, float32, no encoding, kernel "
        f"blockwise, {jax.devices()[0].device_kind}; segments of {first} times {RATIO}^i at rates {RATIO}^i, all that "
        f"fit; the fastest of {repeats}"
    )
    return Protocol(method=method, versions=describe_versions())


def geometric(length: int, first: int) -> Pattern:
    """The branches that are no longer than the text."""
    count = 1
    while first * RATIO**count <= length:
        count += 1
    return Dilated(segments=tuple(first * RATIO**i for i in range(count)), rates=tuple(RATIO**i for i in range(count)))


def program(pattern: Pattern, length: int, heads: int) -> Callable[[], object]:
    """A compiled forward pass, ready to run."""
    rng = np.random.default_rng(length)
    qkv = [jnp.asarray(rng.standard_normal((1, length, heads, HEAD_DIM), np.float32)) for _ in range(3)]

    def forward(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        return attend(q, k, v, encoding=NoPE(), pattern=pattern, kernel="blockwise")[0]

    compiled: Any = jax.jit(forward).lower(*qkv).compile()
    return lambda: jax.block_until_ready(compiled(*qkv))


def fastest(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of each, by turns, after a run that warms up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: min(found) for name, found in times.items()}


if __name__ == "__main__":
    sys.exit(main())
