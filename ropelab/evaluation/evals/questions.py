"""Questions as evaluations: a score at every length and depth."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from ropelab.evaluation.answers import ask, prompt_start
from ropelab.evaluation.effective_context import question_distances
from ropelab.evaluation.evals.base import Case, EvalContext, Evaluation, Measurement
from ropelab.evaluation.intervals import sample_deviation
from ropelab.evaluation.questions.base import Questions, fit_question
from ropelab.spec import at_least, require, spec


@spec
class QuestionEval(Evaluation):
    """Questions of one family.

    Attributes:
        family: the questions.
        trials: questions at each length and depth.
        depths: how many, evenly spaced from the beginning to the end of the text, if the family has places; 0 draws one
            for each question.
        distances: how many of PI's, from the end of the text, in place of depths; 0 for none.
        way: "generation" or "likelihood".
    """

    family: Questions
    trials: int = 10
    depths: int = 5
    distances: int = 0
    way: Literal["generation", "likelihood"] = "likelihood"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "trials")
        at_least(0, self, "depths", "distances")
        placed = self.family.places or not self.distances
        require(placed, self, f"{self.family!r} is asked at no distance; leave out distances={self.distances}")

    def cases(self, lengths: Sequence[int]) -> list[Case]:
        return [Case(length, depth, self.trials) for length in lengths for depth in self.depths_at(length)]

    def depths_at(self, length: int) -> list[float | None]:
        """The depths that are asked at."""
        if self.distances:
            return [1 - k / length for k in question_distances(length, self.distances)]
        if not self.family.places or not self.depths:
            return [None]
        return [0.5] if self.depths == 1 else np.linspace(0, 1, self.depths).round(4).tolist()

    def protocol(self) -> str:
        said = (
            "greedy generation, scored by the family"
            if self.way == "generation"
            else "likelihood: right if every token of the expected answer is the most likely one"
        )
        return f"{self.family!r}, {self.family.new_tokens} tokens of the length for the answer; {said}"

    def check(self, context: EvalContext, case: Case) -> None:
        context.model.check_positions(case.length)
        self.questions(context, case, 1)

    def questions(self, context: EvalContext, case: Case, count: int) -> list:
        """The first questions of a case."""
        if context.tokenizer is None:
            raise ValueError(f"{self.family!r} asks in words, and this model has no tokenizer")
        encode, first = context.tokenizer.encode, len(prompt_start(context.tokenizer))
        return [
            fit_question(
                self.family,
                case.length,
                lambda text: first + len(encode(text)),
                seed=context.seed,
                number=number,
                depth=case.depth,
            ).question
            for number in range(count)
        ]

    def measure(self, context: EvalContext, case: Case, advance: Callable[[int], object]) -> Iterable[Measurement]:
        questions = self.questions(context, case, case.trials)
        assert context.tokenizer is not None
        answers = ask(context.model, context.tokenizer, self.family, questions, self.way, advance)
        yield Measurement("score", float(np.mean([answer.score for answer in answers])), len(answers))
        if self.way == "likelihood":
            nll = np.asarray([answer.nll for answer in answers])
            yield Measurement("nll", float(nll.mean()), nll.size, sample_deviation(nll))
