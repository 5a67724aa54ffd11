"""LEX (arXiv 2212.10554): its table 2 and attention resolution; ALiBi (arXiv 2108.12409) with sliding windows."""

from pathlib import Path

import numpy as np

from ropelab.evaluation.record import Record
from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, One, below, falling, judged
from ropelab.reporting.numbers import log_ratio
from ropelab.reporting.page import Chart, Point, Section, Series
from ropelab.reporting.readings import (
    Number,
    Readings,
    as_perplexity,
    columns,
    last_step,
    name_and_seed,
    read,
    setting_of,
    steps_of,
    trainings,
)
from ropelab.reporting.run_files import read_arrays, read_records

_FAMILY, _BLOCKED = "lex", " + BlockwiseCausal"
_RESOLUTION_ARMS = {
    "xpos + BlockwiseCausal": "xPos, blockwise causal (LEX)",
    "xpos": "xPos",
    "rope + BlockwiseCausal": "RoPE, blockwise causal",
    "rope": "RoPE",
    "alibi + BlockwiseCausal": "ALiBi, blockwise causal",
    "alibi": "ALiBi",
    "nope": "NoPE",
    "sinusoidal": "sinusoidal",
}
_DRAWN = ("rope", "xpos", "alibi")
_ROUGH = "second differences"
_RESOLUTION_SOURCE = "R of arXiv 2212.10554, equation of section 3; higher tells distances apart better"


def _above(high: str, low: str, length: int) -> Claim:
    def margin(one: One) -> float:
        return one(high, length) - one(low, length)

    return Claim(
        f"in texts of {length} {_RESOLUTION_ARMS[high]} has a higher resolution than {_RESOLUTION_ARMS[low]}",
        margin,
        _four_digits,
    )


def _four_digits(margin: float) -> str:
    return f"{margin:+.4f}"


def _resolution_claims(trained: int) -> list[Claim]:
    found = []
    for length in (2 * trained, 4 * trained):
        found += [_above(a, b, length) for a, b in (("xpos", "rope"), ("xpos", "alibi"), ("alibi", "rope"))]
        found += [_above(f"{name}{_BLOCKED}", name, length) for name in ("xpos", "rope")]
    rough = "RoPE's scores oscillate more with distance than xPos's (deviation of their second differences)"
    return [*found, Claim(rough, below(("xpos", _ROUGH), ("rope", _ROUGH)))]


def _read_resolution(root: Path, name: str) -> Readings:
    records = read_records(root / _FAMILY / "resolution.jsonl", root)
    return read(r for r in records if r.evaluation == "resolution" and r.metric == name and r.value is not None)


def _read_curves(root: Path) -> dict[str, dict[int, np.ndarray]]:
    """Arm → seed → the mean score at each distance, at the longest length."""
    path, found = root / _FAMILY / "resolution.npz", {}
    if path.is_file():
        for name, values in read_arrays(path).items():
            if not name.endswith(".expected"):
                arm, seed = name_and_seed(name)
                found.setdefault(arm, {})[seed] = values.astype(np.float64)
    return found


def _roughness(found: dict[str, dict[int, np.ndarray]]) -> Readings:
    """The standard deviation of the second differences of every curve."""
    where = (f"{_FAMILY}/resolution.npz",)
    return {
        arm: {_ROUGH: {seed: Number(float(np.diff(s_n, 2).std()), where) for seed, s_n in of_arm.items()}}
        for arm, of_arm in found.items()
    }


def _score_charts(found: dict[str, dict[int, np.ndarray]]) -> tuple[Chart, ...]:
    """Mean score by distance, the band between the lowest and the highest seed."""
    drawn = {arm: np.stack([*found[arm].values()], axis=1) for arm in _DRAWN if arm in found}
    series = [
        Series(
            _RESOLUTION_ARMS[arm],
            [Point(n, float(s.mean()), float(s.min()), float(s.max())) for n, s in enumerate(s_nS)],
        )
        for arm, s_nS in drawn.items()
    ]
    note = "At the longest length; mean over texts, layers and heads, keys among the first tokens left out."
    chart = Chart("Mean score by distance", "distance, tokens", "mean scaled score", series, note=note)
    return (chart,) if series else ()


def resolution_section(root: Path) -> Section:
    found, expected = _read_resolution(root, "resolution"), _read_resolution(root, "expected")
    trained = int(setting_of(root, _FAMILY, "length") or 0)
    rows, measured = read_records(root / _FAMILY / "resolution.jsonl", root), _read_curves(root)
    lengths = columns(found)
    for arm, rough in _roughness(measured).items():
        found.setdefault(arm, {}).update(rough)
    note = f"{_RESOLUTION_SOURCE}. {rows[0].protocol.line()}." if rows else ""
    return Section(
        "Attention resolution",
        "Do the scores of a trained model still tell distances apart beyond its trained length?",
        judged(_resolution_claims(trained), found),
        [
            grid.table("R of the mean score", found, _RESOLUTION_ARMS, lengths, best=max, note=note),
            grid.table("R of the expected score, q = k = 1", expected, _RESOLUTION_ARMS, columns(expected), best=max,
                       note="No model: what the encoding alone does to vectors of ones."),
            grid.chart("Resolution by length", found, _RESOLUTION_ARMS, x="length of the text, tokens", y="R",
                       note=note, marks=((trained, f"trained on {trained}"),)),
            *_score_charts(measured),
        ],
    )  # fmt: skip


# Table 2 of LEX: perplexity within the trained length and beyond it, by encoding.

_LEX_FAMILY, _CAUSAL = "lex", "Causal()"
_LEX_PRINTED = """
trained on 1024 | 256 | 512 | 1024 | 2048 | 4096
Transformer | 46.34 | 36.39 | 29.94 | 132.63 | 1283.79
Alibi | 37.66 | 29.92 | 24.99 | 23.14 | 24.26
Roformer | 38.09 | 30.38 | 25.52 | 73.6 | 294.45
LEX | 34.3 | 27.55 | 23.31 | 21.6 | 20.73
"""
_LEX_SOURCE = "Sun et al., arXiv 2212.10554, table 2."
_LEX_ARMS = {
    "sinusoidal": "sinusoidal (Transformer)",
    "nope": "NoPE",
    "rope": "RoPE (Roformer)",
    "alibi": "ALiBi",
    "xpos": "xPos",
    "sinusoidal blocked": "sinusoidal, blockwise causal",
    "nope blocked": "NoPE, blockwise causal",
    "rope blocked": "RoPE, blockwise causal",
    "alibi blocked": "ALiBi, blockwise causal",
    "xpos blocked": "xPos, blockwise causal (LEX)",
}
_LEX = "xpos blocked"


def _arm_of(record: Record) -> str:
    return record.variant if record.pattern == _CAUSAL else f"{record.variant} blocked"


def _lex_claims(trained: int) -> list[Claim]:
    """The order beyond the trained length, and what is said of each of its ends."""
    beyond = [
        Claim(f"at {times} times the trained length {low[1]} is below {high[1]}", below((low[0], n), (high[0], n)))
        for times in (2, 4)
        for n in [times * trained]
        for low, high in (
            (("rope", "RoPE"), ("sinusoidal", "the sinusoidal Transformer")),
            (("alibi", "ALiBi"), ("rope", "RoPE")),
            ((_LEX, "LEX"), ("alibi", "ALiBi")),
        )
    ]
    return [
        *beyond,
        Claim("LEX falls with every doubling of the text beyond the trained length", falling(_LEX, trained)),
        Claim(
            "the sinusoidal Transformer at four times is more than five times as perplexed as at the trained length",
            below(("sinusoidal", trained), ("sinusoidal", 4 * trained), times=5.0),
        ),
        Claim(
            "what it takes is xPos: at four times LEX is below RoPE under the same blockwise causal attention, an arm "
            "that the paper does not print",
            below((_LEX, 4 * trained), ("rope blocked", 4 * trained)),
        ),
        Claim("at the trained length ALiBi is below RoPE", below(("alibi", trained), ("rope", trained))),
        Claim("at the trained length LEX is below all others, RoPE next", below((_LEX, trained), ("rope", trained))),
    ]


def lex_section(root: Path) -> Section:
    rows = last_step(trainings(root, _LEX_FAMILY))
    found = read(rows, value=as_perplexity, variant=_arm_of)
    trained = int(setting_of(root, _LEX_FAMILY, "length") or 0)
    tokens = max((row.count for row in rows), default=0)
    note = (
        f"Trained on {trained} bytes a row, {steps_of(rows)}; perplexity per byte of {tokens} held-out bytes in "
        "windows that do not overlap, positions from 0 in each. Mean over seeds ± the half-width of the 95 % t "
        "interval."
    )
    marks = ((trained, f"trained on {trained}"),)
    blocked = [name for name in _LEX_ARMS if name.endswith("blocked")]
    ordered = {
        name: _LEX_ARMS[name]
        for one in ("sinusoidal", "nope", "rope", "alibi", "xpos")
        for name in (one, f"{one} blocked")
    }
    return Section(
        "Length extrapolation from scratch (LEX)",
        "Which encodings, trained on short texts, go on at longer ones, and what does blockwise causal attention do?",
        judged(_lex_claims(trained), found),
        [
            grid.table("Ours", found, _LEX_ARMS, columns(found), note=note),
            grid.printed("As printed", _LEX_PRINTED, _LEX_SOURCE),
            grid.chart("Perplexity by length", found, ordered, x="length of the text, bytes", y="perplexity per byte",
                       dashed=blocked, marks=marks, note=note),
        ],
    )  # fmt: skip


# How much of ALiBi's gain beyond the trained length is the early tokens' curse of windows that do not overlap.

_OVERLAP_PRINTED = """
trained on 1024 | 1024 | 2024 | 16024
sinusoidal | 19.34 | 51.09 | 453.32
rotary | 19.33 | 31.17 | 106.99
ALiBi | 18.66 | 18.05 | 17.98
"""
_OVERLAP_SOURCE = "Press et al., arXiv 2108.12409, table 3: windows that do not overlap."
_OVERLAP_ARMS = {
    "alibi, apart": "ALiBi, no overlap",
    "alibi, sliding": "ALiBi, sliding",
    "sinusoidal, apart": "sinusoidal, no overlap",
    "sinusoidal, sliding": "sinusoidal, sliding",
}


def _read_overlap(root: Path) -> Readings:
    found: Readings = {}
    for way in ("apart", "sliding"):
        records = read_records(root / "overlap" / way / "records.jsonl", root)
        found |= read(
            (r for r in records if r.evaluation == "perplexity" and r.metric == "nll"),
            value=as_perplexity,
            variant=lambda record, way=way: f"{record.variant}, {way}",
        )
    return found


def _gain(one: One, arm: str, trained: int) -> float:
    """The logarithm of how much lower the perplexity is at eight times the trained length."""
    return log_ratio(one(arm, trained), one(arm, 8 * trained))


def _overlap_claims(trained: int) -> list[Claim]:
    far = 8 * trained
    return [
        Claim("without overlap ALiBi at eight times is no worse than at the trained length",
              below(("alibi, apart", far), ("alibi, apart", trained))),
        Claim("when windows slide, ALiBi gains less from longer ones",
              lambda one: _gain(one, "alibi, apart", trained) - _gain(one, "alibi, sliding", trained)),
        Claim("sliding windows are below windows that do not overlap, at the trained length",
              below(("alibi, sliding", trained), ("alibi, apart", trained))),
        Claim("either way the sinusoidal Transformer is more perplexed at eight times than at the trained length",
              lambda one: min(-_gain(one, f"sinusoidal, {way}", trained) for way in ("apart", "sliding"))),
    ]  # fmt: skip


def overlap_section(root: Path) -> Section:
    found, trained = _read_overlap(root), int(setting_of(root, "lex", "length") or 0)
    rows = read_records(root / "overlap" / "sliding" / "records.jsonl", root)
    note = f"Trained on {trained} bytes. {rows[0].protocol.line()}; and the same texts without overlap." if rows else ""
    return Section(
        "ALiBi and the overlap of windows",
        "Is the gain that ALiBi shows at longer texts a better use of them, or fewer tokens without context?",
        judged(_overlap_claims(trained), found),
        [
            grid.table("Ours", found, _OVERLAP_ARMS, columns(found), note=note),
            grid.printed("As printed", _OVERLAP_PRINTED, _OVERLAP_SOURCE),
            grid.chart("Perplexity by window", found, _OVERLAP_ARMS, x="length of the window, bytes",
                       y="perplexity per byte", dashed=("alibi, sliding", "sinusoidal, sliding"), note=note),
        ],
    )  # fmt: skip


TABLES = {"lex": lex_section, "resolution": resolution_section, "overlap": overlap_section}
