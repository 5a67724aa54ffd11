"""Compare the frequencies of one RoPE setting as each dialect expresses it.

    python -m experiments.papers.rope_settings.comparison --workdir=runs/knobs

Compares, for heads of several sizes, the angles of a pair per token: linear scaling as PI, compress_pos_emb,
--rope-freq-scale and transformers' rope_scaling; NTK as alpha_value, --rope-freq-base and a larger rope_theta; and the
exponent 64/63 that circulates for alpha with d / (d - 2), which it is for heads of 128 alone. A record is the largest
relative difference over all pairs. Written to the workdir: records.jsonl and .csv. Exit code 0: done. 2: bad input.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from absl import flags

from ropelab.cli import launching
from ropelab.encodings import NTK, PI, RoPE
from ropelab.encodings.rotary import Rotary
from ropelab.evaluation.record import Protocol, Record
from ropelab.evaluation.store import describe_versions
from ropelab.reporting import files
from ropelab.rope_settings import from_exllama, from_hf, from_llama_cpp

BASE, LENGTH = 10000.0, 8192
HEAD_DIMS = (64, 80, 128, 256)
FACTORS = (2.0, 4.0, 8.0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "Folder for everything that the command writes.", flag_values=values)
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    workdir = launching.workdir_of(values, words)
    records = [record for head_dim in HEAD_DIMS for record in compared(head_dim)]
    files.write_records(workdir / "records.jsonl", records)
    files.write_json(workdir / "settings.json", {"command": command})
    for record in records:
        print(f"heads of {record.length:3d}, {record.variant}, {record.metric}: {record.value:.2e}")
    return 0


def compared(head_dim: int) -> Iterator[Record]:
    """Yield the records of heads of one size; their `length` is that size."""
    method = f"largest relative difference of angles per token, all pairs, factors {FACTORS}, base {BASE:g}"
    protocol = Protocol(method=method, versions=describe_versions())
    for arm, pairs in {"linear": linear(head_dim), "NTK": ntk(head_dim)}.items():
        for name, found in pairs.items():
            value = max(difference(ours, theirs, head_dim) for ours, theirs in found)
            yield Record(
                variant=arm, evaluation="knobs", metric=name, length=head_dim, value=value, count=len(found),
                protocol=protocol,
            )  # fmt: skip


Pairs = dict[str, list[tuple[Rotary, Any]]]


def linear(head_dim: int) -> Pairs:
    """PI as it is said elsewhere."""
    here = {"head_dim": head_dim, "base": BASE}
    return {
        "compress_pos_emb": [(PI(base=BASE, factor=s), from_exllama(compress_pos_emb=s, **here)) for s in FACTORS],
        "rope_freq_scale": [
            (
                PI(base=BASE, factor=s),
                from_llama_cpp(f"--rope-freq-base {BASE} --rope-freq-scale {1 / s}", head_dim=head_dim),
            )
            for s in FACTORS
        ],
        "rope_scaling": [(PI(base=BASE, factor=s), from_hf(config(head_dim, BASE, s))) for s in FACTORS],
    }


def ntk(head_dim: int) -> Pairs:
    """NTK as it is said elsewhere; `exponent_64_63` is the rule that is right for heads of 128 alone."""
    here, power = {"head_dim": head_dim, "base": BASE}, head_dim / (head_dim - 2)
    return {
        "alpha_value": [(NTK(base=BASE, alpha=a), from_exllama(alpha_value=a, **here)) for a in FACTORS],
        "rope_freq_base": [
            (
                NTK(base=BASE, alpha=a),
                from_llama_cpp(f"--rope-freq-base {BASE * a**power!r}", head_dim=head_dim),
            )
            for a in FACTORS
        ],
        "rope_theta": [(NTK(base=BASE, alpha=a), from_hf(config(head_dim, BASE * a**power))) for a in FACTORS],
        "exponent_64_63": [(NTK(base=BASE, alpha=a), RoPE(base=BASE * a ** (64 / 63))) for a in FACTORS],
    }


def config(head_dim: int, base: float, factor: float | None = None) -> dict[str, Any]:
    """A config.json of transformers."""
    scaling = {"rope_scaling": {"rope_type": "linear", "factor": factor}} if factor else {}
    return {"hidden_size": 8 * head_dim, "num_attention_heads": 8, "head_dim": head_dim, "rope_theta": base} | scaling


def difference(ours: Rotary, theirs: Any, head_dim: int) -> float:
    """The largest relative difference of two encodings' frequencies and amplitudes."""
    (mine, loud), (other, other_loud) = (e.frequencies(head_dim, LENGTH) for e in (ours, theirs))
    mine, other = np.asarray(mine, np.float64), np.asarray(other, np.float64)
    return max(float(np.max(np.abs(other / mine - 1))), abs(float(other_loud) / float(loud) - 1))


if __name__ == "__main__":
    sys.exit(main())
