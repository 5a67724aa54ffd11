"""k_max against steps of fine-tuning, with the grid it is read off and what of PI's table 4 holds.

Source: Chen et al., arXiv 2306.15595, table 4: fine-tuned directly, Llama 7B's k_max goes from 2048 to 2560 in 10000
steps; by PI it is the whole new length after 200.
"""

from collections.abc import Mapping, Sequence

from experiments.papers.lex.report import said
from ropelab.evaluation.record import Record
from ropelab.reporting.tables import markdown_grid as markdown

Key = tuple[str, int, int, int]  # arm, length, seed, step
Reach = Mapping[Key, int]
BASE = "base"
MORE = 1.25  # times the trained length that a raw model may reach


def of(reach: Reach, arm: str, length: int) -> dict[int, dict[int, int]]:
    """Step → seed → k_max."""
    found: dict[int, dict[int, int]] = {}
    for (name, n, seed, step), value in sorted(reach.items()):
        if (name, n) == (arm, length):
            found.setdefault(step, {})[seed] = value
    return found


def arms(reach: Reach) -> list[tuple[str, int]]:
    """Arms with their lengths, the base first."""
    return sorted({(arm, length) for arm, length, _, _ in reach}, key=lambda key: (key[0] != BASE, key[1], key[0]))


def table(reach: Reach) -> str:
    """Arms down, steps across, in each cell a number a seed."""
    steps = sorted({step for arm, _, _, step in reach if arm != BASE})
    lines = []
    for arm, length in arms(reach):
        found = of(reach, arm, length)
        if arm == BASE:  # it has one checkpoint, which is where the others begin
            found = {0: next(iter(found.values()))}
        cells = (", ".join(str(v) for v in found[step].values()) if step in found else "" for step in steps)
        lines.append([arm, str(length), *cells])
    return markdown(["arm", "texts of", *map(str, steps)], lines)


def grids(records: Sequence[Record], reach: Reach) -> list[str]:
    """By length, the share answered at each distance after every arm's last step, the mean over seeds."""
    last = {(arm, length): max(of(reach, arm, length)) for arm, length in arms(reach)}
    shares: dict[tuple[str, int], dict[int, list[float]]] = {key: {} for key in last}
    for record in records:
        key = record.variant, record.length
        if record.metric == "score" and record.step == last[key]:
            shares[key].setdefault(record.distance, []).append(record.mean)
    parts = []
    for length in sorted({length for _, length in last}):
        own = {arm: share for (arm, n), share in shares.items() if n == length}
        distances = sorted({k for share in own.values() for k in share})
        lines = [[str(k), *(f"{sum(share[k]) / len(share[k]):.2f}" for share in own.values())] for k in distances]
        parts += [f"Texts of {length}:", markdown(["tokens from the end", *own], lines)]
    return parts


def verdicts(reach: Reach, trained: int) -> list[str]:
    """What became of table 4, seed by seed."""
    told = []
    for arm, length in arms(reach):
        found = of(reach, arm, length)
        last, first = found[max(found)], found[sorted(found)[min(1, len(found) - 1)]]
        if arm == BASE:
            low = [value <= MORE * trained for value in last.values()]
            told.append(said(f"the raw model reaches at most {MORE} times {trained} in texts of {length}", low))
        elif arm.startswith("pi"):
            told.append(said(f"{arm} reaches {length}", [value >= length for value in last.values()]))
            soon = f"{arm} reaches {length} at the first look, after {sorted(found)[1]} steps"
            told.append(said(soon, [value >= length for value in first.values()]))
        else:
            told.append(said(f"{arm} stays below {length}", [value < length for value in last.values()]))
    return told


def kmax_report(reach: Reach, records: Sequence[Record], trained: int) -> str:
    """The page."""
    parts = [
        f"Trained on {trained} tokens. k_max is the largest distance from the end such that it and all shorter ones "
        "are answered in 20 % of the trials; in each cell the seeds.",
        "## By steps of fine-tuning",
        table(reach),
        "\n".join(verdicts(reach, trained)),
        "## The grid",
        "Share answered after the last step, mean over seeds.",
        *grids(records, reach),
        f"Protocol: {records[0].protocol.method}; {records[0].protocol.compute}; {records[0].protocol.versions}.",
    ]
    return "\n\n".join(parts) + "\n"
