"""Summaries of long reports, scored by ROUGE: GovReport as in PI, or a file of your own.

A report is cut at its end to what fits before the question; the model continues greedily. ROUGE-1, -2 and -L are
F-measures of rouge-score with stemming, Porter's, as the harnesses of the field have them. Source: Chen et al., arXiv
2306.15595, section 3.6, whose model is fine-tuned on GovReport (Huang et al., arXiv 2104.02112); an untuned model's
figures are its own.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ropelab.data import datasets
from ropelab.evaluation.answers import TokenizerLike, batch_texts, decode_continuation, prompt_start
from ropelab.evaluation.evals.base import Case, EvalContext, Evaluation, Measurement
from ropelab.evaluation.intervals import sample_deviation
from ropelab.models import generation
from ropelab.spec import at_least, require, spec

BEFORE, AFTER = "Report:\n", "\n\nSummary of the report in a few sentences:\n"
REPORTS, SUMMARIES = ("report", "document", "article", "text"), ("summary", "highlights", "abstract")
KINDS = ("rouge1", "rouge2", "rougeL")


class Pair(NamedTuple):
    """A report and the summary that people wrote of it."""

    report: str
    summary: str


@spec
class Summaries(Evaluation):
    """Attributes:
    source: a file of JSON lines with a report (or document, article, text) and a summary (or highlights, abstract)
        each, or the name of a dataset of TensorFlow Datasets that has such: "gov_report".
    split: of a dataset.
    trials: reports, the first ones.
    new_tokens: of a summary.
    """

    source: str
    split: str = "test"
    trials: int = 10
    new_tokens: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "trials", "new_tokens")

    def cases(self, lengths: Sequence[int]) -> list[Case]:
        return [Case(length, None, self.trials) for length in lengths]

    def protocol(self) -> str:
        return (
            f"{self.source}, the first {self.trials} reports of its {self.split}; each cut at its end to the length "
            f"less {self.new_tokens} tokens, greedy; F-measure of rouge-score, stemmed"
        )

    def reads(self) -> str:
        path = Path(self.source).expanduser()
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    def check(self, context: EvalContext, case: Case) -> None:
        context.model.check_positions(case.length)
        require(context.tokenizer is not None, self, "this model has no tokenizer, and summaries are text")
        scorer()
        there = len(pairs(self.source, self.split, self.trials))
        require(there == self.trials, self, f"{self.source} has {there} reports; give trials={there} or fewer")
        around = len(prompt(context.tokenizer, "", case.length)) if context.tokenizer else 0
        room = case.length - self.new_tokens - around
        require(room >= 1, self, f"a length of {case.length} has no room for a report and {self.new_tokens} tokens")

    def measure(self, context: EvalContext, case: Case, advance: Callable[[int], object]) -> Iterable[Measurement]:
        assert context.tokenizer is not None
        known, speaks = pairs(self.source, self.split, self.trials), context.tokenizer
        prompts = [prompt(speaks, pair.report, case.length - self.new_tokens) for pair in known]
        scores: dict[str, list[float]] = {name: [] for name in KINDS}
        for together in batch_texts(context.model, [len(ids) for ids in prompts]):
            read = [prompts[i] for i in together]
            steps = list(generation.tokens(context.model, read, self.new_tokens, stop=speaks.eos_id))
            for row, i in enumerate(together):
                ids = [int(step[row]) for step in steps if step[row] >= 0]
                for name, score in rouge(decode_continuation(speaks, prompts[i], ids), known[i].summary).items():
                    scores[name].append(score)
            advance(len(together))
        for name, values in scores.items():
            yield Measurement(name, sum(values) / len(values), len(values), sample_deviation(np.asarray(values)))


def prompt(tokenizer: TokenizerLike, report: str, tokens: int) -> list[int]:
    """The beginning of a report that fits between what is said before and after it."""
    before, after = [*prompt_start(tokenizer), *tokenizer.encode(BEFORE)], tokenizer.encode(AFTER)
    return [*before, *tokenizer.encode(report)[: tokens - len(before) - len(after)], *after]


def rouge(said: str, wanted: str) -> dict[str, float]:
    """F-measures by name."""
    return {name: float(score.fmeasure) for name, score in scorer().score(wanted, said).items()}


def scorer() -> Any:
    """rouge-score's.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as missing:
        raise ValueError(f"ROUGE is rouge-score's ({missing}); pip install 'ropelab[eval]'") from None
    return RougeScorer(KINDS, use_stemmer=True)


def pairs(source: str, split: str, count: int) -> list[Pair]:
    """The first reports of a source with their summaries.

    Raises:
        ValueError: if there is no such source, or it lacks a report or a summary.
    """
    path = Path(source).expanduser()
    if path.suffix in (".jsonl", ".json"):
        if not path.is_file():
            raise ValueError(f"no reports at {source!r}; give a file of JSON lines, or a dataset's name as gov_report")
        lines = path.read_text(encoding="utf-8").splitlines()[:count]
        return [pair(json.loads(line), f"{source}, line {n + 1}") for n, line in enumerate(lines)]

    builder = datasets.prepare(datasets.find_builder(source, None, ()), quiet=False)
    records = datasets.open_records(builder, split)
    return [pair(records[n], f"{source}, record {n}") for n in range(min(count, len(records)))]


def pair(record: Any, where: str) -> Pair:
    """A record's report and summary, by the names that datasets have for them."""
    found = []
    for names in (REPORTS, SUMMARIES):
        name = next((name for name in names if name in record), None)
        if name is None:
            raise ValueError(f"{where} has none of {', '.join(names)}; it has {', '.join(record)}")
        value = record[name]
        found.append(value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value))
    return Pair(*found)
