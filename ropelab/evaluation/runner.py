"""Run evaluations on variants: each case of each variant is measured once, kept at once, and never measured again.

A case is a measurement of the store, under all that it depends on: the weights, the encoding and pattern with the file
they come from, kernel and dtype, the text, the seed, the evaluation, the case and the versions. The name of a variant
is not among them.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ropelab.encodings.user_module import source_modules
from ropelab.evaluation.answers import TokenizerLike, prompt_start
from ropelab.evaluation.evals.base import Case, EvalContext, Evaluation, Measurement
from ropelab.evaluation.record import Protocol, Record
from ropelab.evaluation.store import Store, describe_versions
from ropelab.evaluation.variants import Variant


class RunSettings(NamedTuple):
    """Settings that all cases of a run share.

    Attributes:
        model, weights: the checkpoint by name, and the fingerprint of its parameters.
        text, text_sha256: where the text came from, and the hash of its bytes; empty without text.
        text_T: its tokens.
        seed: of everything sampled, and of a training.
        step: of a training.
    """

    model: str
    weights: str
    tokenizer: TokenizerLike | None
    text: str
    text_sha256: str
    text_T: np.ndarray
    seed: int
    dtype: str
    step: int | None = None

    @property
    def has_bos(self) -> bool:
        """Whether prompts begin with BOS."""
        return self.tokenizer is not None and bool(prompt_start(self.tokenizer))

    def protocol(self, evaluation: Evaluation) -> Protocol:
        """Return the protocol of an evaluation's records."""
        return Protocol(
            model=self.model,
            weights=self.weights,
            text=self.text,
            text_sha256=self.text_sha256,
            method=f"{evaluation.protocol()}; prompts begin with {'BOS' if self.has_bos else 'no BOS'}",
            compute=self.dtype,
            versions=describe_versions(),
        )


class Job(NamedTuple):
    """One case of one evaluation of one variant."""

    variant: Variant
    name: str
    evaluation: Evaluation
    case: Case


def make_jobs(variants: Sequence[Variant], evaluations: Mapping[str, Evaluation], lengths: Sequence[int]) -> list[Job]:
    """Return all jobs, evaluation by evaluation, so that the variants of a table come one after another."""
    return [
        Job(variant, name, evaluation, case)
        for name, evaluation in evaluations.items()
        for variant in variants
        for case in evaluation.cases(lengths)
    ]


def check_jobs(jobs: Sequence[Job], settings: RunSettings) -> None:
    """Raise `ValueError` for the first case that cannot be measured, naming it; nothing is compiled for this."""
    for job in jobs:
        try:
            job.evaluation.check(make_context(job, settings), job.case)
        except ValueError as error:
            raise ValueError(f"{job.name} at {job.case.length} tokens, {job.variant.name}: {error}") from None


def make_context(job: Job, settings: RunSettings) -> EvalContext:
    """Return what the evaluation of a job works on."""
    return EvalContext(job.variant.model, settings.tokenizer, settings.text_T, settings.seed)


def run_jobs(
    jobs: Sequence[Job],
    settings: RunSettings,
    store: Store,
    *,
    begin: Callable[[Job], object] = lambda job: None,
    advance: Callable[[int], object] = lambda trials: None,
) -> Iterator[Record]:
    """Yield the records of every case, measured now or kept in the store.

    Args:
        begin, advance: called with the job that begins, and with numbers of finished trials.
    """
    for job in jobs:
        begin(job)
        facts = facts_of(job, settings)
        if facts in store:
            advance(job.case.trials)
        else:
            context = make_context(job, settings)
            found = job.evaluation.measure(context, job.case, advance)
            store.put(facts, [dataclasses.asdict(one) for one in found])
        protocol = settings.protocol(job.evaluation)
        yield from (make_record(Measurement(**row), job, settings, protocol) for row in store.get(facts))


def facts_of(job: Job, settings: RunSettings) -> dict[str, Any]:
    """Return all that the numbers of a job depend on."""
    wiring = job.variant.model.wiring
    return {
        "evaluation": repr(job.evaluation),
        "reads": job.evaluation.reads(),
        "case": job.case._asdict(),
        "encoding": repr(wiring.encoding),
        "sources": list(source_modules(wiring.encoding)),
        "pattern": repr(wiring.pattern),
        "kernel": str(wiring.kernel),
        "weights": settings.weights,
        "text_sha256": settings.text_sha256,
        "text_tokens": int(settings.text_T.size),
        "bos": settings.has_bos,
        "seed": settings.seed,
        "dtype": settings.dtype,
        "versions": describe_versions(),
    }


def make_record(found: Measurement, job: Job, settings: RunSettings, protocol: Protocol) -> Record:
    """Return the record of a measurement; a value that is not finite is undefined."""
    wiring = job.variant.model.wiring
    return Record(
        model=settings.model,
        variant=job.variant.name,
        encoding=repr(wiring.encoding),
        pattern=repr(wiring.pattern),
        kernel=str(wiring.kernel),
        window=job.variant.window,
        evaluation=job.name,
        metric=found.metric,
        length=job.case.length,
        first=found.first,
        last=found.last,
        depth=job.case.depth,
        seed=settings.seed,
        step=settings.step,
        layer=found.layer,
        head=found.head,
        value=found.value if np.isfinite(found.value) else None,
        count=found.count,
        deviation=found.deviation,
        protocol=protocol,
    )
