"""The numbers of a portrait as CSV, one file for each thing that is drawn or printed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ropelab.reporting import files

NUMBERS = ("resolution.csv", "scores.csv", "counts.csv", "reach.csv", "wavelengths.csv")
Curves = Mapping[str, Mapping[int, np.ndarray]]  # by encoding and length of text


def write_numbers(
    folder: Path,
    counts_NTT: np.ndarray,
    reach_TT: np.ndarray,
    scores: Mapping[str, Curves],
    wavelengths: Mapping[str, np.ndarray],
    resolutions: Sequence[Mapping[str, Any]],
) -> None:
    """Write those of `NUMBERS` that have anything in them.

    Args:
        counts_NTT, reach_TT: as in `portrait_figure`; only pairs that are seen, or reached, are written.
        scores: the curves by how they were got.
        wavelengths: in tokens, by encoding.
        resolutions: records.
    """
    tables: dict[str, Sequence[Mapping[str, Any]]] = {
        "resolution.csv": resolutions,
        "scores.csv": [
            {"encoding": name, "scores": way, "length": T, "distance": n, "score": s}
            for way, curves in scores.items()
            for name, by_length in curves.items()
            for T, mean in by_length.items()
            for n, s in enumerate(mean.tolist())
        ],
        "counts.csv": [
            {"head": h, "query": i, "key": j, "count": int(counts_NTT[h, i, j])}
            for h, i, j in np.argwhere(counts_NTT > 0).tolist()
        ],
        "reach.csv": [
            {"query": i, "token": j, "layers": int(reach_TT[i, j])} for i, j in np.argwhere(reach_TT >= 0).tolist()
        ],
        "wavelengths.csv": [
            {"encoding": name, "pair": i, "tokens": tokens}
            for name, turns in wavelengths.items()
            for i, tokens in enumerate(turns.tolist())
        ],
    }
    for name, rows in tables.items():
        if rows:
            files.write_csv(folder / name, rows)
