"""Check prose against the phrases to avoid in `tools/words.toml`.

    python -m tools.english                  # fail on phrases in the files that tools/english_done.txt lists
    python -m tools.english --all            # count them in every file; never fails
    python -m tools.english docs/running.md  # show them in these files; fails if there are any

Prose is the docstrings, the comments, and the strings of three words or more in Python files, and the text of Markdown
and YAML files without code blocks, inline code and targets of links. In addition to the listed phrases, two forms
count: `what` as a noun (`what a query sees`), except in questions, and a sentence that begins with `Of`.
"""

import argparse
import ast
import dataclasses
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.structure import NOUN_WHAT, ROOT, WORDS

DONE_LIST = ROOT / "tools" / "english_done.txt"
SUFFIXES = (".py", ".md", ".yml", ".yaml")

PHRASES = [
    (re.compile(rf"\b(?:{pattern})\b".replace(" ", r"\s+"), re.IGNORECASE), instead)
    for pattern, instead in WORDS["phrases"].items()
]
PHRASES.append((re.compile(r"\bOf\s(?!course)"), "do not begin a sentence with 'Of'"))
QUESTION = re.compile(r"[^.;:!?]*\?")


@dataclasses.dataclass(frozen=True)
class Finding:
    """A phrase to avoid, and where it is."""

    path: Path
    line: int
    phrase: str
    instead: str

    def __str__(self) -> str:
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{path}:{self.line}: {' '.join(self.phrase.split())!r}; write: {self.instead}"


def python_prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield the first line and the text of each docstring, long string and block of comments."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value.split()) >= 3:
            yield node.lineno, node.value
    block: list[str] = []
    start = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        if block and token.start[0] != start + len(block):
            yield start, "\n".join(block)
            block = []
        start = start if block else token.start[0]
        block.append(token.string.lstrip("# "))
    if block:
        yield start, "\n".join(block)


def blank(text: str, pattern: str) -> str:
    """Replace each match of a pattern by its line breaks, so that line numbers stay."""
    return re.sub(pattern, lambda match: "\n" * match[0].count("\n") or " ", text, flags=re.MULTILINE)


def markdown_prose(text: str) -> str:
    """Remove code blocks from Markdown."""
    return blank(blank(text, r"^```(?s:.*?)^```"), r"^(?: {4}|\t).*$")


def find_phrases(path: Path) -> list[Finding]:
    """List the phrases to avoid in the prose of a file."""
    text = path.read_text(encoding="utf-8")
    parts = python_prose(text) if path.suffix == ".py" else [(1, markdown_prose(text))]
    findings = []
    for first_line, part in parts:
        prose = blank(blank(part, r"`[^`]*`"), r"(?<=\])\([^()]*\)")
        matches = [(match, instead) for pattern, instead in PHRASES for match in pattern.finditer(prose)]
        matches += [
            (match, "name the thing") for match in NOUN_WHAT.finditer(prose) if not QUESTION.match(prose, match.start())
        ]
        for match, instead in sorted(matches, key=lambda pair: pair[0].start()):
            line = first_line + prose.count("\n", 0, match.start())
            findings.append(Finding(path, line, match[0], instead))
    return findings


def tracked_files() -> list[Path]:
    """List the files of the repository that hold prose."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines() if name.endswith(SUFFIXES) and (ROOT / name).exists()]


def done_files() -> list[Path]:
    """List the files that must be free of these phrases: one path or glob per line of `english_done.txt`.

    Raises:
        ValueError: if a line matches no file, after a move for example.
    """
    files: list[Path] = []
    for line in DONE_LIST.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        found = [path for path in sorted(ROOT.glob(line)) if path.suffix in SUFFIXES]
        if not found:
            raise ValueError(f"{DONE_LIST.name}: {line!r} matches no file; correct or remove the line")
        files += found
    return files


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.english", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="files to check (default: those that are listed as done)")
    parser.add_argument("--all", action="store_true", help="count phrases in every file of the repository")
    options = parser.parse_args(arguments)
    if options.all:
        counts = Counter({path: len(find_phrases(path)) for path in tracked_files()})
        for path, count in counts.most_common():
            print(f"{count:5} {path.relative_to(ROOT)}")
        print(f"{counts.total():5} in {len(counts)} files")
        return
    findings = [finding for path in options.files or done_files() for finding in find_phrases(path)]
    print("\n".join(map(str, findings)), end="\n" if findings else "")
    if findings:
        sys.exit(f"{len(findings)} phrases to avoid; see CONTRIBUTING.md, English")


if __name__ == "__main__":
    main()
