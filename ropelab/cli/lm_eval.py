"""Run tasks of lm-evaluation-harness under any encoding and pattern.

    python -m experiments.lm_eval --model=smollm2 --tasks=everyday --workdir=runs/lm_eval
    python -m experiments.lm_eval --model=smollm2 --encoding="YaRN(factor=2.0, original_length=8192)" \
        --tasks=boolq,piqa,race,winogrande,arc_easy,hellaswag --limit=200 --workdir=runs/lm_eval_yarn

`everyday` is included: 200 multiple-choice questions that need no network. Other tasks are the harness's, which loads
their data from the Hugging Face hub, or your own in --include_path. A context that is too long is truncated from the
left; truncations are counted and printed. Written to the workdir: results.json, report.md, receipt.json. Exit code 0:
done. 2: bad input. Requires pip install 'ropelab[eval]'.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from ropelab.cli import launching
from ropelab.evaluation import everyday
from ropelab.evaluation.store import describe_versions
from ropelab.lab import Lab, load
from ropelab.models.parameters import fingerprint
from ropelab.reporting import files
from ropelab.reporting.page import Cell, Facts, Page, Section, Table, code
from ropelab.reporting.page_markdown import markdown
from ropelab.reporting.swap_section import receipt_table
from ropelab.reporting.tables import print_table
from ropelab.spec import suggest_name

HELP = {
    "model": "smollm2, a .gguf file, a Hugging Face directory or hub id, or the folder of a training.",
    "encoding": "Spec of an encoding; by default the model's.",
    "pattern": "Spec of an attention pattern; by default the model's.",
    "tasks": "Tasks of the harness, separated by commas.",
    "include_path": "Folder of your own tasks.",
    "workdir": "Folder for everything that the command writes.",
    "dtype": "Type of parameters and computation.",
    "limit": "Questions per task; by default all.",
    "num_fewshot": "Answered examples before each question; by default the task's number.",
    "max_length": "Maximum context in tokens; by default the trained length as the encoding extends it.",
    "add_bos": "Whether to add the BOS token to every context; by default the checkpoint's policy.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    texts = {"model": "smollm2", "encoding": None, "pattern": None, "include_path": None, "workdir": None}
    for name, default in (texts | {"dtype": "float32"}).items():
        flags.DEFINE_string(name, default, HELP[name], flag_values=values)
    flags.DEFINE_list("tasks", [], HELP["tasks"], flag_values=values)
    for name, least in (("limit", 1), ("num_fewshot", 0), ("max_length", 2)):
        flags.DEFINE_integer(name, None, HELP[name], least, flag_values=values)
    flags.DEFINE_bool("add_bos", None, HELP["add_bos"], flag_values=values)
    launching.define_allow_nonfinite(values)
    launching.define_mesh_flags(values)
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    launching.refuse_words(words, "settings are given as --name=value")
    if not values.workdir or not values.tasks:
        raise ValueError("--workdir or --tasks is missing; name a folder, and tasks as in --tasks=everyday,piqa")
    known = task_manager(values.include_path)
    check_tasks(values.tasks, known)
    launching.warn_if_slow(values.dtype)
    lab = load(values.model, dtype=values.dtype, mesh=launching.mesh_from_flags(values)).swap(
        values.encoding, values.pattern
    )
    receipt = lab.receipt()
    results, model = evaluated(lab, values, known)
    lines = [
        [task, metric.split(",")[0], f"{number:.4f}", error(of_task, metric)]
        for task, of_task in results["results"].items()
        for metric, number in of_task.items()
        if isinstance(number, float) and "_stderr" not in metric
    ]
    protocol = protocol_line(lab, values, results, model)
    rows = [list(map(Cell, line)) for line in lines]
    table = Table("Scores", ["task", "metric", "value", "standard error"], rows, protocol)
    workdir, applied = Path(values.workdir), dataclasses.asdict(receipt)
    files.write_json(workdir / "receipt.json", applied)
    files.write(workdir / "results.json", json.dumps(results, indent=2, default=str) + "\n")
    section = Section("Benchmarks", "", (), [table, receipt_table({lab.name: applied})])
    page = Page("lm-evaluation-harness", [section], [Facts("Command", [("lm_eval", code(command))])])
    files.write(workdir / "report.md", markdown(page, {}))
    print_table(table)
    return 0


def task_manager(include_path: str | None) -> Any:
    """Return the task manager of the harness, with the user's tasks.

    Raises:
        ValueError: if the harness is not installed, or the folder does not exist.
    """
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as missing:
        raise ValueError(f"lm-evaluation-harness is not installed ({missing}); pip install 'ropelab[eval]'") from None
    if include_path is not None and not Path(include_path).is_dir():
        raise ValueError(f"--include_path={include_path} is not a folder; name one with the .yaml files of your tasks")
    return TaskManager(include_path=include_path)


def check_tasks(tasks: Sequence[str], known: Any) -> None:
    """Raise `ValueError` for an unknown task, before a model is loaded."""
    for task in tasks:
        if task != everyday.NAME and not known.match_tasks([task]):
            close = suggest_name(task, (everyday.NAME, *known.all_tasks))
            raise ValueError(f"no task {task!r}.{close} `lm_eval ls tasks` prints the harness's")


def evaluated(lab: Lab, values: flags.FlagValues, known: Any) -> tuple[dict[str, Any], Any]:
    """Run the tasks and return `(results, model)` of the harness."""
    from lm_eval.evaluator import simple_evaluate

    from ropelab.evaluation.harness import Harness

    model = Harness(
        lab.model, lab.tokenizer, max_length=values.max_length or extended(lab), add_bos=values.add_bos
    )  # fmt: skip
    asked = [everyday.task() if task == everyday.NAME else task for task in values.tasks]
    found: Any = simple_evaluate(
        model=model, tasks=asked, task_manager=known, limit=values.limit, num_fewshot=values.num_fewshot
    )
    if found is None:
        raise ValueError(f"the harness gave no results for --tasks={','.join(values.tasks)}")
    results = {name: found[name] for name in ("results", "n-samples", "versions", "configs") if name in found}
    return json.loads(json.dumps(results, default=str)), model


def extended(lab: Lab) -> int:
    """Return the trained length as the encoding extends it."""
    from ropelab.checkpoints.hugging_face.writing import extend_length

    return extend_length(lab.config.trained_length, lab.original.wiring.encoding, lab.encoding)


def error(of_task: dict[str, Any], metric: str) -> str:
    """Return the harness's standard error of a metric as text."""
    name, _, key = metric.partition(",")
    found = of_task.get(f"{name}_stderr,{key}")
    return f"{found:.4f}" if isinstance(found, float) else "–"


def protocol_line(lab: Lab, values: flags.FlagValues, results: dict[str, Any], model: Any) -> str:
    counts = ", ".join(
        f"{task} {n['effective']} of {n['original']}" for task, n in results.get("n-samples", {}).items()
    )
    return (
        f"model {lab.full_name} (weights {fingerprint(lab.params)}), {lab.encoding!r}, {lab.pattern!r}; asked: {counts}"
        f"; BOS {'before every context' if model.bos else 'none added'}; at most {model.max_length} tokens read, "
        f"{model.truncated.requests} contexts cut by {model.truncated.tokens} tokens; {values.dtype}; "
        f"{describe_versions()}"
    )
