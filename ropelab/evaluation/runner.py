"""Arms under evaluations at lengths: every unit measured once, kept at once, and never measured again.

A unit is a file named by the hash of all that it depends on: the weights, the encoding and pattern with the file they
were written in, kernel and dtype, the text, the seed, the evaluation, the unit and the versions. So an interrupted
campaign goes on where it stopped, and a longer one measures what is new.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ropelab.encodings.user_module import source_modules
from ropelab.evaluation.answers import TokenizerLike, prompt_start
from ropelab.evaluation.evals.base import Case, EvalContext, Evaluation, recorded
from ropelab.evaluation.protocol import versions
from ropelab.evaluation.variants import Variant


class RunSettings(NamedTuple):
    """What all units have in common.

    Attributes:
        model, weights: the checkpoint by name, and the fingerprint of its parameters.
        text, text_sha256: where the text came from, and the hash of its bytes.
        text_T: its tokens.
        seed: of everything drawn.
    """

    model: str
    weights: str
    tokenizer: TokenizerLike | None
    text: str
    text_sha256: str
    text_T: np.ndarray
    seed: int
    dtype: str

    @property
    def begins(self) -> bool:
        """Whether BOS stands before prompts."""
        return self.tokenizer is not None and bool(prompt_start(self.tokenizer))

    def line(self, evaluation: Evaluation) -> str:
        """The protocol in one line."""
        return (
            f"model {self.model} (weights {self.weights}); text {self.text} (sha256 {self.text_sha256[:12]}); "
            f"{evaluation.protocol()}; prompts begin with {'BOS' if self.begins else 'no BOS'}; seed {self.seed}; "
            f"{self.dtype}; {versions()}"
        )


class Job(NamedTuple):
    """One unit of one evaluation of one arm."""

    arm: Variant
    name: str
    evaluation: Evaluation
    unit: Case


def make_jobs(arms: Sequence[Variant], evaluations: Mapping[str, Evaluation], lengths: Sequence[int]) -> list[Job]:
    """All work, evaluation by evaluation, so that the arms of a table come one after another."""
    return [
        Job(arm, name, evaluation, unit)
        for name, evaluation in evaluations.items()
        for arm in arms
        for unit in evaluation.units(lengths)
    ]


def check_jobs(work: Sequence[Job], setting: RunSettings) -> None:
    """Raise `ValueError` for the first unit that cannot be measured, naming it; nothing is compiled for this."""
    for piece in work:
        try:
            piece.evaluation.check(make_context(piece, setting), piece.unit)
        except ValueError as error:
            raise ValueError(f"{piece.name} at {piece.unit.length} tokens, {piece.arm.name}: {error}") from None


def make_context(piece: Job, setting: RunSettings) -> EvalContext:
    return EvalContext(piece.arm.model, setting.tokenizer, setting.text_T, setting.seed)


def run_jobs(
    work: Sequence[Job],
    setting: RunSettings,
    folder: Path,
    *,
    begin: Callable[[Job], object] = lambda piece: None,
    advance: Callable[[int], object] = lambda trials: None,
) -> Iterator[dict[str, Any]]:
    """The records of every unit, as they are measured or found.

    Args:
        folder: where units are kept.
        begin, advance: told which unit begins, and how many trials are done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for piece in work:
        begin(piece)
        yield from kept_or_measured(piece, setting, folder, advance)


def kept_or_measured(
    piece: Job, setting: RunSettings, folder: Path, advance: Callable[[int], object]
) -> list[dict[str, Any]]:
    path = file_of(piece, setting, folder)
    if path.is_file():
        advance(piece.unit.trials)
        return kept_unit(path)
    said = {"seed": setting.seed, "protocol": setting.line(piece.evaluation)}
    found = [
        recorded(one, piece.arm.name, piece.name, piece.unit, **said)
        for one in piece.evaluation.measure(make_context(piece, setting), piece.unit, advance)
    ]
    partial = path.with_name(f"{path.stem}.{os.getpid()}.partial")
    partial.write_text(json.dumps(found), encoding="utf-8")
    os.replace(partial, path)
    return found


def kept_unit(path: Path) -> list[dict[str, Any]]:
    """The records of a unit that was measured before.

    Raises:
        ValueError: if its file is damaged, naming it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise ValueError("no list of records")
        return found
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); remove it, and the same command measures it again") from None


def file_of(piece: Job, setting: RunSettings, folder: Path) -> Path:
    """Where a unit is kept."""
    wiring = piece.arm.model.wiring
    facts = [piece.arm.name, repr(wiring.encoding), repr(wiring.pattern), str(wiring.kernel)]
    facts += [*source_modules(wiring.encoding), setting.weights, setting.text_sha256, setting.text_T.size, setting.seed]
    facts += [setting.dtype, piece.name, repr(piece.evaluation), piece.evaluation.reads(), list(piece.unit), versions()]
    facts += ["BOS"] if setting.begins else []
    return folder / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:20]}.json"
