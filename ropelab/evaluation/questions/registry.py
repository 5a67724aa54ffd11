"""Every family of questions by the name that the field has for it, and RULER's six that need no other text."""

from collections.abc import Callable

from ropelab import spec
from ropelab.evaluation.questions.base import Questions
from ropelab.evaluation.questions.frequent import CommonWords, FrequentWords
from ropelab.evaluation.questions.json_kv import JsonKV
from ropelab.evaluation.questions.lines import Lines
from ropelab.evaluation.questions.needles import NIAH
from ropelab.evaluation.questions.passkey import Passkey
from ropelab.evaluation.questions.topics import Topics
from ropelab.evaluation.questions.tracking import VariableTracking

RULER: dict[str, Questions] = {
    "niah_single_1": NIAH(),
    "niah_multikey_2": NIAH(haystack="needles"),
    "niah_multikey_3": NIAH(haystack="needles", keys="uuids", values="uuids"),
    "vt": VariableTracking(),
    "cwe": CommonWords(),
    "fwe": FrequentWords(),
}
NAMED: dict[str, Questions] = {
    "passkey": Passkey(),
    "lines": Lines(),
    "topics": Topics(),
    **RULER,
    "json_kv": JsonKV(),
}
GROUPS = {"ruler": tuple(RULER)}
CLASSES: dict[str, Callable[..., Questions]] = {
    kind.__name__: kind for kind in (Passkey, Lines, Topics, NIAH, VariableTracking, CommonWords, FrequentWords, JsonKV)
}


def parse(text: str) -> dict[str, Questions]:
    """The families that a name means, by name: "ruler" is six, "Passkey(digits=7)" is one of its own.

    Raises:
        ValueError: for a name that is not known, with the nearest that is.
    """
    text = text.strip()
    if text in GROUPS:
        return {name: RULER[name] for name in GROUPS[text]}
    if text in NAMED:
        return {text: NAMED[text]}
    if text.split("(")[0] in CLASSES:
        family = spec.parse(text, CLASSES, kind="family of questions")
        return {repr(family): family}
    known = (*NAMED, *GROUPS)
    raise ValueError(f"no questions {text!r}.{spec.suggest_name(text, known)} There are: {', '.join(known)}")
