"""Measure the structure of a Python package: sizes, names, imports and docstrings, from its syntax trees alone.

    python -m tools.structure                                  # the working tree
    python -m tools.structure --rev=v0.1.0                     # a git revision
    python -m tools.structure --compare v0.1.0 . --peer=optax  # side by side, next to an installed package
    python -m tools.structure --details                        # the modules and names behind the counts
    python -m tools.structure --frames                         # also the call depth; runs a model, so it needs jax

Definitions:

- A module is a `.py` file that is not a test (`*_test.py`, or below a folder named `tests`).
- Functions include methods and nested functions; their length includes the docstring and excludes decorators.
- Sizes and importers are those of the first package, `ropelab`; names, imports and docstrings those of all packages.
- An importer of a module is another module, of any package, that imports it or a name from it, also inside a function.
  `__init__.py` files count as importers but are not counted as modules that need one.
- The longest import chain counts the modules on the longest path of imports at module level; a cycle is one step.
  Cycles are taken over all imports, those inside functions included.
- Public names are functions and classes at the top level of a module without a leading underscore.
- A participle is a name whose first or last word ends in -ed or -en, or is an irregular one of those that
  `words.toml` lists, with exceptions such as `embed` and `token`. Distinct names of functions and methods are counted.
- Docstrings are compared per 1,000 words of prose: doctests, directives, indented code under `::`, and section headers
  ("Args:") are left out. A line begins with a verb if its first word is capitalised and is one of the verbs in
  `words.toml`, with or without -s. `What` is a noun where it is followed by a determiner, a pronoun, or a form of be,
  have or do.
"""

import argparse
import ast
import dataclasses
import importlib.util
import io
import os
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("ropelab", "experiments")

WORDS = tomllib.loads((ROOT / "tools" / "words.toml").read_text())
PARTICIPLES = frozenset(WORDS["participles"].split())
NOT_PARTICIPLES = frozenset(WORDS["not_participles"].split())

NOUN_WHAT = re.compile(
    r"\bwhat\s+(?:is|are|was|were|has|have|had|does|do|did|of|a|an|the|it|they|its|this|each|every|one|all|no|nobody"
    r"|somebody)\b",
    re.IGNORECASE,
)


def third_person(verb: str) -> str:
    if verb.endswith(("s", "x", "z", "ch", "sh")):
        return f"{verb}es"
    return f"{verb[:-1]}ies" if re.search(r"[^aeiou]y$", verb) else f"{verb}s"


VERBS = WORDS["verbs"].split()
VERB_FORMS = frozenset(VERBS) | {third_person(verb) for verb in VERBS}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclasses.dataclass(frozen=True)
class Module:
    """A source file: its dotted name, its text and its syntax tree."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=str(self.path))

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def num_lines(self) -> int:
        return self.text.count("\n")

    @cached_property
    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    def top_level(self, *, classes: bool = True) -> list[str]:
        """Return the names of the functions, and of the classes if wanted, at the top level."""
        nodes = [node for node in self.tree.body if isinstance(node, Function | ast.ClassDef)]
        return [node.name for node in nodes if classes or isinstance(node, Function)]

    def docstrings(self) -> Iterator[str]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Module | ast.ClassDef | Function) and (doc := ast.get_docstring(node)):
                yield doc


def find_modules(root: Path, packages: Iterable[str]) -> list[Module]:
    """List the modules of packages below `root`, without tests."""
    modules = []
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            relative = path.relative_to(root)
            if path.name.endswith("_test.py") or "tests" in relative.parts:
                continue
            parts = relative.with_suffix("").parts
            modules.append(Module(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return modules


# Imports


def imported_names(module: Module, *, module_level: bool) -> Iterator[str]:
    """Yield the full dotted name of everything a module imports.

    Args:
        module_level: skip imports inside functions and under `if TYPE_CHECKING`.
    """
    for node in walk_module_level(module.tree) if module_level else ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def walk_module_level(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.Lambda) or (
            isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        ):
            continue
        yield child
        yield from walk_module_level(child)


def import_graph(modules: Sequence[Module], *, module_level: bool) -> dict[str, set[str]]:
    """Map each module to the modules it imports: the submodule that a name is, or else the module it comes from."""
    known = {module.name for module in modules}
    graph: dict[str, set[str]] = {name: set() for name in known}
    for module in modules:
        for name in imported_names(module, module_level=module_level):
            while name and name not in known:
                name = name.rpartition(".")[0]
            if name and name != module.name:
                graph[module.name].add(name)
    return graph


def strong_components(graph: dict[str, set[str]]) -> list[list[str]]:
    """Tarjan's strongly connected components, each after those it leads to."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in order:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], order[target])
        if low[node] == order[node]:
            start = stack.index(node)
            components.append(sorted(stack[start:]))
            del stack[start:]

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return components


def find_cycles(modules: Sequence[Module]) -> list[list[str]]:
    """List the groups of modules that import each other, over all imports."""
    return [c for c in strong_components(import_graph(modules, module_level=False)) if len(c) > 1]


def longest_chain(modules: Sequence[Module]) -> list[str]:
    """Return the longest path of imports at module level; a cycle is one step, named by its first module."""
    graph = import_graph(modules, module_level=True)
    component_of = {}
    best: dict[int, list[str]] = {}
    for number, component in enumerate(strong_components(graph)):
        component_of |= dict.fromkeys(component, number)
        targets = {component_of[t] for name in component for t in graph[name]} - {number}
        tails = [best[t] for t in targets]
        best[number] = [component[0], *max(tails, key=len, default=[])]
    return max(best.values(), key=len, default=[])


def rarely_imported(modules: Sequence[Module]) -> list[Module]:
    """List the modules, packages' `__init__` apart, that at most one other module imports."""
    importers: Counter[str] = Counter()
    for targets in import_graph(modules, module_level=False).values():
        importers.update(targets)
    return [m for m in modules if not m.is_package and importers[m.name] <= 1]


# Names


def repeated_names(modules: Sequence[Module]) -> dict[str, list[str]]:
    """Map each public top-level name that three modules or more define to those modules."""
    places: dict[str, list[str]] = defaultdict(list)
    for module in modules:
        for name in set(module.top_level()):
            if not name.startswith("_") and name != "main":
                places[name].append(module.name)
    found = {name: where for name, where in places.items() if len(where) >= 3}
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def is_participle(name: str) -> bool:
    words = [word for word in name.lower().split("_") if word]
    return any(
        word in PARTICIPLES or (len(word) > 3 and word.endswith(("ed", "en")) and word not in NOT_PARTICIPLES)
        for word in words[:1] + words[-1:]
    )


def function_names(modules: Sequence[Module]) -> set[str]:
    """Return the distinct names of functions and methods, those with two leading underscores apart."""
    return {f.name for module in modules for f in module.functions if not f.name.startswith("__")}


# Docstrings


def prose(docstring: str) -> str:
    """Drop doctests, directives, indented code and section headers from a docstring."""
    kept: list[str] = []
    in_doctest, block_indent = False, None
    for line in docstring.splitlines():
        text, indent = line.strip(), len(line) - len(line.lstrip())
        if in_doctest:
            in_doctest = bool(text)
            continue
        if block_indent is not None:
            if not text or indent > block_indent:
                continue
            block_indent = None
        if text.startswith(">>>"):
            in_doctest = True
        elif text.startswith(".. ") or text.endswith("::"):
            block_indent = indent
        elif not re.fullmatch(r"[A-Z]\w+:", text):
            kept.append(line)
    return "\n".join(kept)


def begins_with_verb(line: str) -> bool:
    match = re.match(r"\s*([A-Z][a-z]+)(?![\w:'])", line)
    return match is not None and match[1].lower() in VERB_FORMS


def docstring_rates(modules: Sequence[Module]) -> tuple[float, float]:
    """Return the lines that begin with a verb and the nouns made of "what", each per 1,000 words of prose."""
    text = [prose(doc) for module in modules for doc in module.docstrings()]
    words = sum(len(re.findall(r"\b[A-Za-z]{2,}\b", part)) for part in text) or 1
    verbs = sum(begins_with_verb(line) for part in text for line in part.splitlines())
    nouns = sum(len(NOUN_WHAT.findall(part)) for part in text)
    return 1000 * verbs / words, 1000 * nouns / words


# The table


def measure(root: Path, packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Measure packages below a folder: sizes and importers of the first, names and imports of all."""
    library, others = find_modules(root, packages[:1]), find_modules(root, packages[1:])
    modules = library + others
    if not library:
        raise SystemExit(f"{root}: no modules of {packages[0]} here; pass the folder that holds them")
    functions = [node for module in library for node in module.functions]
    lengths = [node.end_lineno - node.lineno + 1 for node in functions if node.end_lineno]
    public = [name for module in modules for name in module.top_level(classes=False)]
    private = [name for name in public if name.startswith("_")]
    repeated, names = repeated_names(modules), function_names(modules)
    importable = [module for module in library if not module.is_package]
    rare = [module for module in rarely_imported(modules) if module in importable]
    rare_lines = sum(module.num_lines for module in rare)
    chain, cycles = longest_chain(modules), find_cycles(modules)
    verbs, nouns = docstring_rates(modules)
    most = ", ".join(f"{name} {len(where)}" for name, where in list(repeated.items())[:4])
    return {
        "modules, lines": count_lines(library),
        "other packages": count_lines(others) if others else "",
        "lines per module, median": f"{statistics.median(m.num_lines for m in library):g}",
        "lines per function, median": f"{statistics.median(lengths) if lengths else 0:g}",
        "functions of at most 3 lines": f"{sum(n <= 3 for n in lengths):,} of {len(lengths):,}",
        "modules with at most one importer": f"{len(rare)} of {len(importable)} ({rare_lines:,} lines)",
        "longest import chain": f"{len(chain)} ({chain[0]})",
        "import cycles": f"{len(cycles)}",
        "names defined in three modules or more": f"{len(repeated)}" + (f" ({most})" if most else ""),
        "module-level functions, public / private": f"{len(public) - len(private):,} / {len(private):,}",
        "function names that are participles": f"{sum(map(is_participle, names)):,} of {len(names):,}",
        "docstring lines that begin with a verb, per 1,000 words": f"{verbs:.1f}",
        "`what` as a noun, per 1,000 words": f"{nouns:.1f}",
    }


def count_lines(modules: Sequence[Module]) -> str:
    return f"{len(modules)}, {sum(module.num_lines for module in modules):,}"


def details(root: Path, packages: Sequence[str] = PACKAGES) -> str:
    """List the modules and names behind the counts."""
    modules = find_modules(root, packages)
    sections = {
        "Longest import chain": [" -> ".join(longest_chain(modules))],
        "Import cycles": [", ".join(cycle) for cycle in find_cycles(modules)],
        "Modules with at most one importer": [f"{m.num_lines:5} {m.name}" for m in rarely_imported(modules)],
        "Names defined in three modules or more": [f"{n}: {', '.join(w)}" for n, w in repeated_names(modules).items()],
        "Participles": [", ".join(sorted(filter(is_participle, function_names(modules))))],
    }
    return "\n".join(f"\n{title}\n" + "\n".join(f"  {line}" for line in lines) for title, lines in sections.items())


def format_table(columns: dict[str, dict[str, str]]) -> str:
    rows = [["", *columns]]
    for key in dict.fromkeys(key for column in columns.values() for key in column):
        rows.append([key, *(column.get(key, "") for column in columns.values())])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


# Call depth

FRAMES_SCRIPT = Path(__file__).with_name("frames.py")


def measure_frames(root: Path) -> dict[str, str]:
    """Run `frames.py` against the packages below a folder; a revision has its own code but uses this script."""
    environment = dict(os.environ, PYTHONPATH=str(root))
    command = [sys.executable, str(FRAMES_SCRIPT)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{FRAMES_SCRIPT.name} failed in {root}:\n{done.stderr[-2000:]}")
    return dict(line.split("\t") for line in done.stdout.splitlines() if "\t" in line)


# Sources


def open_source(source: str, scratch: Path) -> Path:
    """Return a folder as it is, or unpack a git revision below `scratch`."""
    if Path(source).is_dir():
        return Path(source).resolve()
    archive = subprocess.run(["git", "archive", source], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise SystemExit(f"{source}: neither a folder nor a git revision ({archive.stderr.decode().strip()})")
    folder = scratch / re.sub(r"\W", "-", source)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def find_peer(name: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"--peer={name}: not an installed package; pip install {name}")
    return Path(spec.submodule_search_locations[0])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.structure", description=(__doc__ or "").partition("\n")[0])
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "folder", nargs="?", default=str(ROOT), help="the folder that holds the packages (default: here)"
    )
    where.add_argument("--rev", help="a git revision instead of a folder")
    where.add_argument("--compare", nargs=2, metavar=("A", "B"), help="two folders or revisions, one column each")
    parser.add_argument("--packages", default=",".join(PACKAGES), help="names of the packages (default: %(default)s)")
    parser.add_argument("--peer", action="append", default=[], help="an installed package as one more column")
    parser.add_argument("--frames", action="store_true", help="count frames from logits to the encoding; needs jax")
    parser.add_argument("--details", action="store_true", help="list the modules and names behind the counts")
    options = parser.parse_args(arguments)
    packages = options.packages.split(",")
    sources = options.compare or [options.rev or options.folder]
    columns, lists = {}, []
    with tempfile.TemporaryDirectory() as scratch:
        for source in sources:
            root = open_source(source, Path(scratch))
            title = "working tree" if root == ROOT else root.name if Path(source).is_dir() else source
            columns[title] = measure(root, packages) | (measure_frames(root) if options.frames else {})
            lists += [details(root, packages)] if options.details else []
    for peer in options.peer:
        folder = find_peer(peer)
        columns[peer] = measure(folder.parent, [folder.name])
    print(format_table(columns))
    print("\n".join(lists), end="\n" if lists else "")


if __name__ == "__main__":
    main()
