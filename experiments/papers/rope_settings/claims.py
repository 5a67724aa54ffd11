"""Identities between the names that tools have for one RoPE setting."""

from pathlib import Path

from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, One, judged
from ropelab.reporting.page import Section
from ropelab.reporting.readings import columns, read
from ropelab.reporting.run_files import read_records

_LABELS = {
    "knobs.compress_pos_emb": "PI: compress_pos_emb",
    "knobs.rope_freq_scale": "PI: --rope-freq-scale, one over it",
    "knobs.rope_scaling": 'PI: rope_scaling "linear"',
    "knobs.alpha_value": "NTK: alpha_value",
    "knobs.rope_freq_base": "NTK: --rope-freq-base, times alpha^(d / (d - 2))",
    "knobs.rope_theta": "NTK: rope_theta, times alpha^(d / (d - 2))",
    "knobs.exponent_64_63": "NTK: base times alpha^(64 / 63)",
}
_TOLERANCE = 1e-6


def _largest_error(difference: float) -> str:
    return f"{_TOLERANCE - difference:.1e} at most"


def _claims() -> list[Claim]:
    def largest(arms: list[str]):
        return lambda one: _TOLERANCE - max(one(arm, d) for arm in arms for d in one.columns(arm))

    linear, ntk = (["knobs.compress_pos_emb", "knobs.rope_freq_scale", "knobs.rope_scaling"],
                   ["knobs.alpha_value", "knobs.rope_freq_base", "knobs.rope_theta"])  # fmt: skip

    def otherwise(one: One) -> float:
        others = [one("knobs.exponent_64_63", d) for d in one.columns("knobs.exponent_64_63") if d != 128]
        return min(others) - _TOLERANCE

    return [
        Claim("compress_pos_emb = s, --rope-freq-scale 1/s and linear rope_scaling turn the same angles",
              largest(linear), _largest_error, exact=True),
        Claim("alpha_value = a and a base times a^(d / (d - 2)) turn the same angles, whatever the dialect",
              largest(ntk), _largest_error, exact=True),
        Claim("64/63 is that exponent for heads of 128", lambda one: _TOLERANCE - one("knobs.exponent_64_63", 128),
              _largest_error, exact=True),
        Claim("and for heads of no other size", otherwise, lambda m: f"off by {m + _TOLERANCE:.1e} at least",
              exact=True),
    ]  # fmt: skip


def section(root: Path) -> Section:
    rows = read_records(root / "knobs" / "records.jsonl", root)
    found = read(rows, variant=lambda record: f"{record.evaluation}.{record.metric}")
    note = f"{rows[0].protocol.line()}." if rows else ""
    return Section(
        "Everybody's knobs",
        "Do the names that tools have for one setting mean the same angles?",
        judged(_claims(), found),
        [
            grid.table(
                "Ours, largest relative difference by size of a head",
                found,
                _LABELS,
                columns(found),
                best=None,
                note=note,
            )
        ],
    )


TABLES = {"knobs": section}
