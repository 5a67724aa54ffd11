"""PI's figure 2 and theorem 2.1 in numbers: extrapolated scores explode, interpolated ones stay within the bound.

    python -m experiments.papers.pi.interpolation --workdir=runs/interpolation

Scores that are fitted to random values at all distances up to L, in float32 and float64, without and with a ridge
of 1, a few seeds each. Seconds on any machine. Written to the workdir: interpolation.csv, report.md, and the picture
of one fit as interpolation.png and .pdf.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from ropelab.cli import launching
from ropelab.evaluation.interpolation import Fit, fit
from ropelab.reporting import files
from ropelab.reporting.charts.style import render
from ropelab.reporting.interpolation_figure import interpolation_figure
from ropelab.reporting.tables import markdown_grid

EXPLODES, TAMED = 100.0, 10.0  # times: orders of magnitude, because the figure itself is one of rounding


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "Folder for everything that the command writes.", flag_values=values)
    flags.DEFINE_integer("head_dim", 128, "Dimensions of a head.", 2, flag_values=values)
    flags.DEFINE_integer("length", 2048, "Distances that are fitted.", 16, flag_values=values)
    flags.DEFINE_float("base", 10000.0, "The base of the frequencies.", flag_values=values)
    flags.DEFINE_integer("seeds", 4, "Draws.", 1, flag_values=values)
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    workdir = launching.workdir_of(values, words)
    sizes = {"head_dim": values.head_dim, "length": values.length, "base": values.base}
    fits = {
        (dtype, ridge, seed): fit(seed, dtype=dtype, ridge=ridge, **sizes)
        for dtype in ("float32", "float64")
        for ridge in (0.0, 1.0)
        for seed in range(values.seeds)
    }
    rows = [row(*key, found) for key, found in fits.items()]
    told = verdicts(fits)
    files.write_csv(workdir / "interpolation.csv", rows)
    drawn = fits["float64", 0.0, 0]
    figure = interpolation_figure(
        *(np.random.default_rng(0).standard_normal(values.length), drawn.inside, drawn.beyond, drawn.between),
        title=f"PI, figure 2: fit in float64, seed 0, {values.head_dim} dimensions, base {values.base:g}",
    )
    for kind in ("png", "pdf"):
        files.write(workdir / f"interpolation.{kind}", render(figure, kind))
    table = markdown_grid(list(rows[0]), [[str(value) for value in one.values()] for one in rows])
    page = [
        "# Interpolation and extrapolation",
        "\n".join(told),
        table,
        "![Figure 2](interpolation.png)",
        f"    {command}",
    ]
    files.write(workdir / "report.md", "\n\n".join(page) + "\n")
    print(table, "", *told, sep="\n")
    return 0


def row(dtype: str, ridge: float, seed: int, found: Fit) -> dict[str, Any]:
    return {
        "dtype": dtype,
        "ridge": ridge,
        "seed": seed,
        "max inside": float(f"{np.abs(found.inside).max():.3g}"),
        "max beyond": float(f"{np.abs(found.beyond).max():.3g}"),
        "times": float(f"{found.explosion:.3g}"),
        "off the line": float(f"{found.off_line:.3g}"),
        "bound of theorem 2.1": float(f"{found.bound:.3g}"),
    }


def verdicts(fits: dict[tuple[str, float, int], Fit]) -> list[str]:
    """Return the paper's claims, each with the number of fits in which it holds."""
    bare = {key: found for key, found in fits.items() if not key[1]}
    wide = [found for (dtype, ridge, _), found in fits.items() if dtype == "float64" and not ridge]
    narrow = [found for (dtype, _, _), found in bare.items() if dtype == "float32"]
    ridged = [found for (_, ridge, _), found in fits.items() if ridge]
    return [
        said("in float64 scores beyond are more than 100 times those inside", [f.explosion > EXPLODES for f in wide]),
        said("in float32 they are", [f.explosion > EXPLODES for f in narrow]),
        said("a ridge of 1 keeps them below 10 times", [f.explosion < TAMED for f in ridged]),
        said(
            "between whole distances scores stay within theorem 2.1's bound",
            [f.off_line <= f.bound for f in fits.values()],
        ),
    ]


def said(claim: str, seen: list[bool]) -> str:
    return f"- {'holds' if all(seen) else 'DOES NOT HOLD'}: {claim} ({sum(seen)} of {len(seen)})"


if __name__ == "__main__":
    sys.exit(main())
