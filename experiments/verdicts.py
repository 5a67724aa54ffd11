"""Read trainings and print the table of a paper with a verdict on each of its claims.

    python -m experiments.verdicts --table=lex --workdir=runs/lex
    python -m experiments.verdicts --table=extension --workdir=runs/extension

The runs are those of configs/lex.py and configs/extension.py. Written to the workdir: report.md, report.png.
"""

import sys
from collections.abc import Sequence

from absl import flags

from experiments import launch
from ropelab.reporting import files
from ropelab.reporting.extension_report import extension_report
from ropelab.reporting.lex_report import lex_report
from ropelab.reporting.perplexity_figure import image
from ropelab.reporting.runs import evaluations, names

TABLES = {"lex": ("LEX at the size of a laptop", lex_report), "extension": ("Extending a byte model", extension_report)}


def act(values: flags.FlagValues, words: list[str], command: str) -> int:
    workdir = launch.folder_of_runs(values, words)
    title, report = TABLES[values.table]
    found = evaluations(workdir)
    page, figure = report(found, workdir)
    left_out = [name for name in names(workdir) if name not in found]
    if left_out:
        page += f"\nNot finished and left out: {', '.join(left_out)}.\n"
    files.write(workdir / "report.md", f"# {title}\n\n{page}\n![The figure](report.png)\n\n    {command}\n")
    files.write(workdir / "report.png", image(figure, "png"))
    print(page)
    return 0


def run(argv: Sequence[str] | None = None) -> int:
    """The exit code of a command line."""
    values = flags.FlagValues()
    flags.DEFINE_enum("table", "lex", list(TABLES), "Which table.", flag_values=values)
    flags.DEFINE_string("workdir", None, "Folder of the runs.", flag_values=values)
    return launch.answer(act, values, argv)


if __name__ == "__main__":
    sys.exit(run())
