"""Run the contract of encodings on a class of your own, or on any encoding of the catalogue.

    python -m experiments.check my_encoding.py                  # what its EXAMPLES hold, and all that has defaults
    python -m experiments.check "my_encoding.py:Mine(a=1)"
    python -m experiments.check "YaRN(base=1e4, factor=2, original_length=64)"
    python -m experiments.check --all --markdown=docs/contract.md

Prints a verdict on every property, and the first counterexample of each that fails. Exit code 0: all hold. 1: one
fails. 2: bad input. A base that is left out is 10000; everything runs on the CPU, about fifteen seconds an encoding.
"""

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import flags
from tqdm import tqdm

from experiments import launch
from ropelab.contract import PROPERTIES, Verdict, broken_hook, ready, verdict
from ropelab.encodings import ALL, Encoding, RoPE
from ropelab.encodings.user_module import examples, parse_with_import, split_path
from ropelab.reporting import files
from ropelab.reporting.contract_table import markdown, print_matrix, print_verdicts


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; `argv` has the program's name first."""
    values = flags.FlagValues()
    flags.DEFINE_bool("all", False, "Every encoding of the catalogue.", flag_values=values)
    flags.DEFINE_string("markdown", None, "Write the table encoding x property to this file.", flag_values=values)
    return launch.answer(checked, values, argv)


def checked(values: flags.FlagValues, texts: list[str], command: str) -> int:
    """Examine, show and write what was asked for; the exit code."""
    encodings = wanted(texts, everything=values.all)
    if values.markdown:
        Path(values.markdown).parent.mkdir(parents=True, exist_ok=True)  # a wrong path says so before the work
    found = examined(encodings)
    show(found, matrix=values.all)
    if values.markdown:
        files.write(Path(values.markdown), page(found, command))
    return int(any(v.result == "FAIL" for verdicts in found.values() for v in verdicts))


def wanted(texts: list[str], *, everything: bool) -> dict[str, Encoding]:
    """The encodings that a command line names, complete as in a model, by their specs.

    Raises:
        ValueError: if there is none, or one that cannot be examined.
    """
    if everything == bool(texts):
        raise ValueError('name a file, "file.py:Spec(...)" or a spec of the catalogue, or give --all')
    found = {repr(e): e for e in ALL} if everything else {}
    for text in texts:
        path, spec = split_path(text)
        for encoding in (parse_with_import(text),) if spec else examples(path):
            complete = encoding.inherit(RoPE(base=1e4))
            found[f"{path}:{complete!r}" if path else repr(complete)] = complete
    for encoding in found.values():
        ready(encoding)
    return found


def examined(encodings: dict[str, Encoding]) -> dict[str, list[Verdict]]:
    """Every verdict on each encoding, by its spec, under a bar that counts them."""
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


def show(found: dict[str, list[Verdict]], *, matrix: bool) -> None:
    """In the terminal: one table for all, or one for each."""
    if matrix:
        print_matrix(found)
    else:
        for text, verdicts in found.items():
            print_verdicts(text, verdicts)


def page(found: dict[str, list[Verdict]], command: str) -> str:
    """The table in Markdown."""
    sentences = {name: (inspect.getdoc(p) or "").split("\n\n")[0] for name, p in PROPERTIES.items()}
    return markdown(found, sentences, made_by=f"`{command}` on jax {jax.__version__}, CPU, float32")


if __name__ == "__main__":
    sys.exit(main())
