"""Check your own encoding, or any encoding of the library, against the contract.

    python -m experiments.check my_encoding.py                  # its EXAMPLES, and every class with defaults
    python -m experiments.check "my_encoding.py:Mine(a=1)"
    python -m experiments.check "YaRN(base=1e4, factor=2, original_length=64)"
    python -m experiments.check --all --markdown=docs/contract.md

Prints a verdict per property, and the first counterexample of each that fails. Exit code 0: all hold. 1: one fails. 2:
bad input. A missing base is 10000. Everything runs on the CPU, about fifteen seconds per encoding.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import flags
from tqdm import tqdm

from ropelab.cli import launching
from ropelab.contract import PROPERTIES, Verdict, broken_hook, ready, verdict
from ropelab.encodings import ALL, Encoding, RoPE
from ropelab.encodings.user_module import examples, parse_with_import, split_path
from ropelab.reporting import files
from ropelab.reporting.contract_table import markdown, print_matrix, print_verdicts


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    flags.DEFINE_bool("all", False, "Check every encoding of the library.", flag_values=values)
    flags.DEFINE_string(
        "markdown", None, "Write the table of encodings and properties to this file.", flag_values=values
    )
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, texts: list[str], command: str) -> int:
    """Check the requested encodings, print and write the verdicts, and return the exit code."""
    encodings = parse_encodings(texts, everything=values.all)
    if values.markdown:
        Path(values.markdown).parent.mkdir(parents=True, exist_ok=True)  # a wrong path fails before the work
    found = _check_all(encodings)
    _print_verdicts(found, matrix=values.all)
    if values.markdown:
        files.write(Path(values.markdown), _markdown_page(found, command))
    return int(any(v.result == "FAIL" for verdicts in found.values() for v in verdicts))


def parse_encodings(texts: list[str], *, everything: bool) -> dict[str, Encoding]:
    """Return the encodings of a command line by their specs, completed as in a model.

    Raises:
        ValueError: if there is none, or one that cannot be checked.
    """
    if everything == bool(texts):
        raise ValueError('name a file, "file.py:Spec(...)" or a spec, or give --all')
    found = {repr(e): e for e in ALL} if everything else {}
    for text in texts:
        path, spec = split_path(text)
        for encoding in (parse_with_import(text),) if spec else examples(path):
            complete = encoding.inherit(RoPE(base=1e4))
            found[f"{path}:{complete!r}" if path else repr(complete)] = complete
    for encoding in found.values():
        ready(encoding)
    return found


def _check_all(encodings: dict[str, Encoding]) -> dict[str, list[Verdict]]:
    """Check every property of each encoding and return the verdicts by its spec, with a progress bar."""
    found: dict[str, list[Verdict]] = {}
    host = jax.local_devices(backend="cpu")[0]  # small arrays, and float32 products that an accelerator would round
    with jax.default_device(host), tqdm(total=len(encodings) * len(PROPERTIES), dynamic_ncols=True) as bar:
        for text, encoding in encodings.items():
            broken = broken_hook(encoding)
            found[text] = [broken] if broken else []
            for name in () if broken else PROPERTIES:
                bar.set_description(f"{type(encoding).__name__} {name}")
                found[text].append(verdict(encoding, name))
                bar.update()
    return found


def _print_verdicts(found: dict[str, list[Verdict]], *, matrix: bool) -> None:
    """Print one table for all encodings, or one per encoding."""
    if matrix:
        print_matrix(found)
    else:
        for text, verdicts in found.items():
            print_verdicts(text, verdicts)


def _markdown_page(found: dict[str, list[Verdict]], command: str) -> str:
    """Return the table in Markdown."""
    sentences = {name: (inspect.getdoc(p) or "").split("\n\n")[0] for name, p in PROPERTIES.items()}
    return markdown(found, sentences, made_by=f"`{command}` on jax {jax.__version__}, CPU, float32")
