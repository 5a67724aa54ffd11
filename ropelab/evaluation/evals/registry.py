"""Evaluations by name, as a command line writes them: "perplexity, passkey(trials=4), ruler, resolution"."""

import re
from collections.abc import Callable

from ropelab import spec
from ropelab.data import synthetic
from ropelab.evaluation.evals.attention import Attention, Heads, Resolution
from ropelab.evaluation.evals.base import Evaluation
from ropelab.evaluation.evals.perplexity import LongPPL, Perplexity
from ropelab.evaluation.evals.questions import QuestionEval
from ropelab.evaluation.evals.summaries import Summaries
from ropelab.evaluation.evals.tasks import TaskEval
from ropelab.evaluation.questions import registry as questions

BY_NAME: dict[str, Callable[..., Evaluation]] = {
    "perplexity": Perplexity,
    "longppl": LongPPL,
    "resolution": Resolution,
    "attention": Attention,
    "heads": Heads,
    "summaries": Summaries,
}
K_MAX = "kmax"  # the passkey at PI's 32 distances
SOLVED = "solved"  # solved(task=Needle(), distances=32)
TASKS = {name: task for name, task in synthetic.TASKS.items() if name not in questions.CLASSES}
KNOWN = (*BY_NAME, *questions.NAMED, *questions.GROUPS, K_MAX, SOLVED, *TASKS)


def parse(text: str) -> dict[str, Evaluation]:
    """The evaluations that a list names, by name, in its order.

    Raises:
        ValueError: for a name or a field that is not known, with the nearest that is, or one named twice.
    """
    found: dict[str, Evaluation] = {}
    for part in spec.split_list(text, ","):
        for name, evaluation in parse_part(part).items():
            if name in found:
                raise ValueError(f"the evaluation {name!r} is named twice; leave one out")
            found[name] = evaluation
    if not found:
        raise ValueError(f"no evaluation is named; there are {', '.join(KNOWN)}")
    return found


def parse_part(text: str) -> dict[str, Evaluation]:
    """Parse one part of the list; a group stands for several evaluations."""
    name, bracket, fields = text.partition("(")
    name, fields = name.strip(), fields.strip().removesuffix(")") if bracket else ""
    if name in BY_NAME:
        made = BY_NAME[name]
        try:
            return {name: parse_fields(made, made.__name__, fields)}
        except ValueError as error:
            raise ValueError(re.sub(rf"\b{made.__name__}\b", name, str(error))) from None
    if name == K_MAX:
        return {K_MAX: parse_question_eval(questions.NAMED["passkey"], fields or "distances=32", name)}
    if name in questions.NAMED or name in questions.GROUPS:
        return {one: parse_question_eval(family, fields, one) for one, family in questions.parse(name).items()}
    if name in TASKS:
        return {text.strip(): TaskEval(task=spec.parse(text, TASKS, kind="task"))}
    if name == SOLVED:
        made = spec.parse(f"TaskEval({fields})", {"TaskEval": TaskEval, **TASKS}, kind="evaluation")
        return {f"{SOLVED} {made.task!r}": made}
    if name in questions.CLASSES:
        return {text: parse_question_eval(next(iter(questions.parse(text).values())), "", name)}
    raise ValueError(f"no evaluation {name!r}.{spec.suggest_name(name, KNOWN)} There are: {', '.join(KNOWN)}")


def parse_question_eval(family: object, fields: str, name: str) -> Evaluation:
    """Questions of a family with fields as they are written; errors have the name that the list has."""
    try:
        return parse_fields(
            QuestionEval, "QuestionEval", ", ".join(part for part in (f"family={family!r}", fields) if part.strip())
        )
    except ValueError as error:
        said = str(error).replace(f"'QuestionEval(family={family!r}, {fields})'", repr(f"{name}({fields})"))
        raise ValueError(re.sub(r"\bQuestionEval\b", name, said).replace("It has: family, ", "It has: ")) from None


def parse_fields(made: Callable[..., Evaluation], name: str, fields: str) -> Evaluation:
    """An evaluation from its fields as they are written."""
    return spec.parse(f"{name}({fields})", {name: made, **questions.CLASSES}, kind="evaluation")
