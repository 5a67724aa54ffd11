"""Write the report of a sweep, an evaluation, a swap or trainings: one HTML page, the same as Markdown, figures, data.

    python -m experiments.report --workdir=runs/tables-cpu
    python -m experiments.report --workdir=runs/a,runs/b --to=runs/compared

Of a sweep of papers' tables it says what became of each claim; of several workdirs it sets their arms, or their claims,
side by side. Written to --to, by default the folder `report` of the first workdir: report.html, which needs nothing
else, report.md, figures as PNG and PDF, their data and that of all tables as CSV and Parquet. With
--markdown=docs/results.md the Markdown page is written there as well. Exit code 0: done. 2: bad input.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments import launch
from ropelab.reporting.page import counted
from ropelab.reporting.page_files import write_markdown, write_page
from ropelab.reporting.report import report

HELP = {
    "workdir": "Folders that runs, sweeps or evaluations wrote, separated by commas.",
    "tables": "Of papers, by name; those of the sweep if none is given.",
    "to": "Folder for the report; `report` in the first workdir if none is given.",
    "markdown": "File for the Markdown page alone, its figures in a folder of the same name beside it.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; `argv` has the program's name first."""
    values = flags.FlagValues()
    for name in ("workdir", "tables"):
        flags.DEFINE_list(name, [], HELP[name], flag_values=values)
    for name in ("to", "markdown"):
        flags.DEFINE_string(name, None, HELP[name], flag_values=values)
    return launch.answer(act, values, argv)


def act(values: flags.FlagValues, words: list[str], command: str) -> int:
    launch.no_words(words, "settings are given as --name=value")
    roots = [Path(name.strip()).expanduser() for name in values.workdir]
    lost = [root for root in roots if not root.is_dir()]
    if not roots or lost:
        raise ValueError(
            f"--workdir={','.join(values.workdir)}: {f'{lost[0]} is no folder' if lost else 'it is missing'}"
        )
    page = report(roots, [name.strip() for name in values.tables])
    folder = Path(values.to) if values.to else roots[0] / "report"
    written = write_page(page, folder)
    if values.markdown:
        target = Path(values.markdown)
        written += write_markdown(page, target, target.with_suffix(""))
    for section in page.sections:
        if section.verdicts:
            print(f"{section.title}: {counted(section.verdicts)}")
    print(f"written to {folder}: {written[0].name}, {written[1].name}, {len(written) - 2} figures and data files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
