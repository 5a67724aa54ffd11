"""Write the report of a sweep, an evaluation, a swap or trainings as HTML and Markdown, with figures and data.

    python -m experiments.report --workdir=runs/tables-cpu
    python -m experiments.report --workdir=runs/a,runs/b --to=runs/compared
    ropelab report --workdir=runs/my_sweep --claims=my_claims.py

The report of a sweep of papers has a verdict on each claim; the report of several workdirs compares their arms, or
their claims. Written to --to, by default the folder `report` of the first workdir: report.html, a single file;
report.md; figures as PNG, PDF and SVG; the data of figures and tables as CSV and Parquet. --markdown=docs/results.md
writes the Markdown page there as well. Exit code 0: done. 2: bad input.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from absl import flags

from ropelab.cli import configuration, launching
from ropelab.cli.figure_flags import define_figure_flags, figure_options
from ropelab.reporting.page import counted
from ropelab.reporting.page_files import write_markdown, write_page
from ropelab.reporting.report import Tables, report

HELP = {
    "workdir": "Folders of runs, sweeps or evaluations, separated by commas.",
    "tables": "Tables of papers, by name; by default those of the sweep.",
    "claims": "Python file with TABLES, the section of each table by its name; it is run.",
    "to": "Folder for the report; by default `report` in the first workdir.",
    "markdown": "File for the Markdown page, with its figures in a folder of the same name next to it.",
}


def main(argv: Sequence[str] | None = None, *, tables: Tables | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name.

    Args:
        tables: known without --claims, the section of each by its name.
    """
    values = flags.FlagValues()
    for name in ("workdir", "tables"):
        flags.DEFINE_list(name, [], HELP[name], flag_values=values)
    for name in ("to", "markdown", "claims"):
        flags.DEFINE_string(name, None, HELP[name], flag_values=values)
    define_figure_flags(values)
    return launching.run_with_flags(partial(run, tables=tables or {}), values, argv)


def run(values: flags.FlagValues, words: list[str], command: str, *, tables: Tables) -> int:
    launching.refuse_words(words, "settings are given as --name=value")
    roots = [Path(name.strip()).expanduser() for name in values.workdir]
    lost = [root for root in roots if not root.is_dir()]
    if not roots or lost:
        raise ValueError(
            f"--workdir={','.join(values.workdir)}: {f'{lost[0]} is not a folder' if lost else 'it is missing'}"
        )
    options = figure_options(values)
    known = read_tables(values.claims) if values.claims else tables
    page = report(roots, [name.strip() for name in values.tables], known)
    folder = Path(values.to) if values.to else roots[0] / "report"
    written = write_page(page, folder, options=options)
    if values.markdown:
        target = Path(values.markdown)
        written += write_markdown(page, target, target.with_suffix(""), options)
    for section in page.sections:
        if section.verdicts:
            print(f"{section.title}: {counted(section.verdicts)}")
    print(f"written to {folder}: {written[0].name}, {written[1].name}, {len(written) - 2} figures and data files")
    return 0


def read_tables(path: str) -> Tables:
    """Return the tables that a file of claims defines.

    Raises:
        ValueError: if there is no such file, or it has no `TABLES`.
    """
    found = getattr(configuration.module(path, "claims", "experiments/papers/claims.py"), "TABLES", None)
    if not isinstance(found, Mapping):
        raise ValueError(f"--claims={path}: the file has no TABLES, a dict from a table's name to its section")
    return found
