"""The report of one workdir, or of several side by side: sections of all that is found there, and how it came to be."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ropelab.reporting.evaluation_section import evaluation_section, is_evaluation
from ropelab.reporting.page import WORDS, Cell, Facts, Page, Section, Table, Verdict, code
from ropelab.reporting.run_files import TEXT, read_entries, read_object, rows
from ropelab.reporting.swap_section import group_by_protocol, is_swap, swap_section
from ropelab.reporting.training_section import differences, trainings_of, trainings_section

MANIFEST = "manifest.json"
Tables = Mapping[str, Callable[[Path], Section]]


def report(roots: Sequence[Path], tables: Sequence[str] = (), known: Tables | None = None) -> Page:
    """The page.

    Args:
        tables: of papers, by name; those that the manifest of a sweep asks for if none is given.
        known: the section of each table by its name, as a paper's claims.py has them.

    Raises:
        ValueError: if there is nothing to report.
    """
    wanted = list(tables) or tables_of(roots[0])
    sections = papers(roots, wanted, known or {}) if wanted else everything(roots)
    if not sections:
        raise ValueError(
            f"{', '.join(map(str, roots))} holds no records: no sweep with tables, no evaluation, no swap, no training"
        )
    if len(roots) == 1 and not wanted:  # the title of the page has the name already
        sections = [one._replace(title=one.title.removesuffix(f": {roots[0].name}")) for one in sections]
    title = "Tables of papers" if wanted else "Report"
    return Page(f"{title}: {', '.join(root.name for root in roots)}", sections, list(facts(roots)))


def tables_of(root: Path) -> list[str]:
    """The tables that a sweep's own report has."""
    path = root / MANIFEST
    if not path.is_file():
        return []
    words = [word for entry in read_entries(path) for word in entry["command"]]
    named = [word.removeprefix("--tables=").split(",") for word in words if word.startswith("--tables=")]
    return list(dict.fromkeys(name for names in named for name in names))


def papers(roots: Sequence[Path], tables: Sequence[str], known: Tables) -> list[Section]:
    """A summary of all claims, then a section a table; of several workdirs the sections of each in turn."""
    unknown = [name for name in tables if name not in known]
    if unknown:
        there = f"there are {', '.join(known)}" if known else "no claims are loaded"
        raise ValueError(
            f"there is no table {unknown[0]!r}; {there}. Name the file that defines it with --claims=..., "
            "as experiments/papers/claims.py"
        )
    found = {root: {name: known[name](root) for name in tables} for root in roots}
    if len(roots) == 1:
        sections = found[roots[0]]
        return [summary(sections), *(with_settings(roots[0], one) for one in sections.values())]
    told = [one._replace(title=f"{one.title}: {root.name}") for root in roots for one in found[root].values()]
    return [side_by_side(found), *told]


def summary(sections: dict[str, Section]) -> Section:
    """All claims, by table."""
    lines = []
    for section in sections.values():
        words = [verdict.word for verdict in section.verdicts]
        numbers = [words.count(word) for word in WORDS]
        lines.append([Cell(section.title), *(Cell(str(n)) for n in numbers)])
    head = ["table", *WORDS]
    note = (
        "A claim is reproduced if it holds in every seed and the 95 % interval of its margin is above 0; direction "
        "only if it holds in every seed and the interval includes 0 or there is none, as with one seed; not reproduced "
        "if it fails in one; and not testable where its arms are not part of this size. What is computed and not "
        "sampled needs no interval. Margins are means over seeds with Student's 95 % interval."
    )
    table = Table("Claims by table", head, lines, note)
    return Section("Verdict", "What became of the papers' claims at this size.", (), [table])


def side_by_side(found: dict[Path, dict[str, Section]]) -> Section:
    """Every claim in every workdir."""
    claims: dict[str, dict[Path, Verdict]] = {}
    for root, sections in found.items():
        for section in sections.values():
            for verdict in section.verdicts:
                claims.setdefault(f"{section.title}: {verdict.claim}", {})[root] = verdict
    lines = [[Cell(claim), *(said(of.get(root)) for root in found)] for claim, of in claims.items()]
    head = ["claim", *(root.name for root in found)]
    return Section(
        "Verdict", "What became of every claim in each folder.", (), [Table("Claims side by side", head, lines)]
    )


def said(verdict: Verdict | None) -> Cell:
    if verdict is None or not verdict.seeds[1]:
        return Cell(verdict.word if verdict else "–")
    return Cell(f"{verdict.word} ({verdict.seeds[0]} of {verdict.seeds[1]}), {verdict.margin}")


def with_settings(root: Path, section: Section) -> Section:
    """A section with the settings in which the trainings that its tables speak of differ."""
    folders = dict.fromkeys(source.rpartition("/")[0] for source in sources(section))
    found = {name: path for folder in folders for name, path in trainings_of(root / folder).items()}
    return section._replace(parts=[*section.parts, *differences(found)])


def sources(section: Section) -> Iterator[str]:
    """The records of all that a section's tables say."""
    for part in section.parts:
        if isinstance(part, Table):
            yield from (source for row in part.rows for cell in row for source in cell.sources)


def everything(roots: Sequence[Path]) -> list[Section]:
    """What there is in workdirs that are no sweep of tables."""
    swaps = [root for root in roots if is_swap(root)]
    evaluations = [root for root in roots if is_evaluation(root) and root not in swaps]
    trainings = [root for root in roots if trainings_of(root)]
    return [
        *([evaluation_section(evaluations)] if evaluations else []),
        *map(swap_section, group_by_protocol(swaps)),
        *([trainings_section(trainings)] if trainings else []),
    ]


def facts(roots: Sequence[Path]) -> Iterator[Facts]:
    """Where and by what commands it was made."""
    for root in roots:
        of = f" of {root.name}" if len(roots) > 1 else ""
        pairs = list(dict.fromkeys(environment(root)))
        if pairs:
            yield Facts(f"Environment{of}", pairs)
        made = list(commands(root))
        if made:
            yield Facts(f"How each number was made{of}", made)


def environment(root: Path) -> Iterator[tuple[str, str]]:
    """What trainings ran on, each kind once."""
    for path in sorted(root.rglob("starts.jsonl")):
        for start in rows(path.parent, "starts"):
            words = f"ropelab {start['ropelab']}, jax {start['jax']}, {start['processes']} process(es)"
            yield start["devices"], words


def commands(root: Path) -> Iterator[tuple[str, str]]:
    """The commands that made what stands in a workdir, by run."""
    for name in ("sweep", "settings", "command"):
        path = root / f"{name}.json"
        if path.is_file():
            yield root.name, code(read_object(path, {"command": TEXT})["command"])
    if (root / MANIFEST).is_file():
        for entry in read_entries(root / MANIFEST):
            words = shlex.join(word.replace("{sweep}", str(root)) for word in entry["command"])
            yield entry["name"], code(f"python -m {words}")
        return
    for name, folder in trainings_of(root).items():
        for start in rows(folder, "starts")[:1]:
            yield name, code(start["command"])
