"""Folders as trainings and evaluations leave them, with numbers of a test's choice."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CAUSAL = "Causal()"


def training(folder: Path, rows: Sequence[Mapping[str, Any]], **settings: Any) -> None:
    """A finished training with these evaluations."""
    last = rows[-1]["step"]
    (folder / "checkpoints" / str(last)).mkdir(parents=True)
    (folder / "checkpoints" / str(last) / "manifest.json").write_text("{}")
    said = {name: str(value) for name, value in (settings | {"steps": last}).items()}
    (folder / "plan.json").write_text(json.dumps({"settings": said}))
    start = {"command": f"python -m experiments.train --workdir={folder}", "ropelab": "0.1.0", "jax": "0.10.2"}
    (folder / "starts.jsonl").write_text(json.dumps(start | {"devices": "1 x cpu", "processes": 1}) + "\n")
    jsonl(folder / "evaluations.jsonl", rows)
    jsonl(folder / "metrics.jsonl", [{"step": n, "loss": 5.0 / n, "tokens": 64 * n} for n in range(1, last + 1)])


def by_length(values: Mapping[int, float], *, step: int = 10, pattern: str = CAUSAL) -> list[dict[str, Any]]:
    """Evaluations of one step: perplexity by length."""
    return [
        {"step": step, "pattern": pattern, "length": n, "nll": math.log(value), "perplexity": value, "tokens": 640}
        for n, value in values.items()
    ]


def record(arm: str, name: str, length: int, value: float, **more: Any) -> dict[str, Any]:
    """A record of an evaluation."""
    own = {"depth": None, "count": 1, "deviation": None, "seed": 0, "protocol": "model tiny"}
    return {"arm": arm, "eval": name, "length": length, "value": value} | own | more


def jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
