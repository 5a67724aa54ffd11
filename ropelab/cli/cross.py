"""Compare every encoding under every pattern on every kernel with the formula written out: the cross table.

    python -m experiments.cross --workdir=runs/cross                     # one encoding per class, every pattern
    python -m experiments.cross --encodings=all --markdown=docs/patterns_table.md
    python -m experiments.cross --encodings="RoPE(base=1e4); my_encoding.py:Mine(a=1)" --patterns="Causal; Sinks(...)"

Measured is the largest difference, forward and in every gradient, of `dense`, of `blockwise`, and of the calls that a
pattern makes for tokens in order, in float64 (at most 1e-10) and in float32 (2e-5). Results are stored in
<workdir>/cross.jsonl by encoding, pattern, dtype and version of jax, and the same command resumes; name another workdir
after a change of the code. Exit code 0: all within the bound. 1: one exceeds it. 2: bad input. 130: interrupted. Each
combination compiles two or three programs, so all of them take hours on two CPU cores.
"""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from absl import flags
from tqdm import tqdm

from ropelab import attention
from ropelab.attention import Pattern
from ropelab.cli import launching
from ropelab.contract import ready
from ropelab.contract.crossing import errors
from ropelab.encodings import ALL, Encoding, RoPE
from ropelab.encodings.user_module import parse_with_import
from ropelab.reporting import cross_table, files
from ropelab.reporting.cross_table import BOUNDS, Crossing
from ropelab.spec import split_list, suggest_name


class Combination(NamedTuple):
    """One measurement."""

    encoding: Encoding
    pattern: Pattern
    dtype: str

    def key(self) -> tuple[str, ...]:
        return repr(self.encoding), repr(self.pattern), self.dtype, jax.__version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    text = "{} separated by ;"
    flags.DEFINE_string("encodings", "", text.format("Specs, or all for every example,"), flag_values=values)
    flags.DEFINE_string("patterns", "", text.format("Specs"), flag_values=values)
    flags.DEFINE_list("dtypes", list(BOUNDS), "float64, float32, or both.", flag_values=values)
    flags.DEFINE_string("workdir", "runs/cross", "Folder of the results.", flag_values=values)
    flags.DEFINE_string("markdown", None, "Write the tables to this file.", flag_values=values)
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    launching.refuse_words(words, "name encodings with --encodings=")
    wanted = make_combinations(
        parse_encodings(values.encodings), parse_patterns(values.patterns), parse_dtypes(values.dtypes)
    )
    for folder in (Path(values.workdir), *([Path(values.markdown).parent] if values.markdown else [])):
        folder.mkdir(parents=True, exist_ok=True)  # a wrong path says so before the work
    return measure_missing(wanted, Path(values.workdir), values.markdown, command)


def parse_encodings(text: str) -> list[Encoding]:
    """Return the encodings of a flag, completed as in a model; by default the first example of each class."""
    found = [parse_with_import(part) for part in split_list(text, ";")] if text != "all" else list(ALL)
    found = found or list({type(e): e for e in reversed(ALL)}.values())[::-1]
    complete = [e.inherit(RoPE(base=1e4)) for e in found]
    for encoding in complete:
        ready(encoding)
    return complete


def parse_patterns(text: str) -> list[Pattern]:
    """Return the patterns of a flag; by default all examples."""
    return [attention.parse(part) for part in split_list(text, ";")] or list(attention.ALL)


def parse_dtypes(names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in BOUNDS:
            raise ValueError(
                f"--dtypes={name!r} is not allowed.{suggest_name(name, BOUNDS)} It takes {', '.join(BOUNDS)}"
            )
    return list(names)


def make_combinations(
    encodings: Sequence[Encoding], patterns: Sequence[Pattern], dtypes: Sequence[str]
) -> dict[tuple[str, ...], Combination]:
    """Return all combinations by their keys, grouped by encoding.

    Raises:
        ValueError: if there are none.
    """
    every = (Combination(e, p, dtype) for e in encodings for p in patterns for dtype in dtypes)
    found = {one.key(): one for one in every}
    if not found:
        raise ValueError(f"nothing to measure; --dtypes takes {', '.join(BOUNDS)}")
    return found


def measure_missing(wanted: dict[tuple[str, ...], Combination], workdir: Path, page: str | None, command: str) -> int:
    """Measure missing combinations, print and write the results, and return the exit code."""
    path = workdir / "cross.jsonl"
    known = {_key_of(c): c for c in cross_table.read(path)}
    interrupted = False
    try:
        for crossing in _measure_all([one for key, one in wanted.items() if key not in known], len(wanted)):
            cross_table.append(path, crossing)
            known[_key_of(crossing)] = crossing
    except KeyboardInterrupt:
        interrupted = True
    found = [known[key] for key in wanted if key in known]
    cross_table.print_cross(found)
    if page:
        made_by = f"`{command}` on jax {jax.__version__}, CPU"
        files.write(Path(page), cross_table.markdown(found, total=len(wanted), made_by=made_by))
    if interrupted:
        print(f"\ninterrupted; {len(found)} of {len(wanted)} are kept, and the same command resumes", file=sys.stderr)
        return 130
    return int(bool(cross_table.failures(found)))


def _key_of(crossing: Crossing) -> tuple[str, ...]:
    return tuple(crossing[name] for name in ("encoding", "pattern", "dtype", "jax"))


def _measure_all(missing: Sequence[Combination], total: int) -> Iterator[Crossing]:
    """Yield each result as soon as it is measured, with a progress bar that includes earlier ones."""
    host = jax.local_devices(backend="cpu")[0]  # small arrays, and float32 products that an accelerator would round
    before = None
    with jax.default_device(host), tqdm(total=total, initial=total - len(missing), dynamic_ncols=True) as bar:
        for one in missing:
            if before not in (None, one.encoding):
                jax.clear_caches()  # each program holds memory maps, of which Linux gives a process 65,530
            before = one.encoding
            bar.set_description(f"{type(one.encoding).__name__} × {type(one.pattern).__name__} {one.dtype}")
            yield _measure(one)
            bar.update()


def _measure(one: Combination) -> Crossing:
    """Measure one combination; any exception of an encoding or a pattern is recorded as its failure."""
    began, raised, found = time.perf_counter(), None, {}
    try:
        with _precision(one.dtype):
            found = errors(one.encoding, one.pattern, one.dtype)
    except Exception as error:
        raised = " ".join(f"{type(error).__name__}: {error}".split())
    names = dict(zip(("encoding", "pattern", "dtype", "jax"), one.key(), strict=True))
    return {**names, "errors": found, "raised": raised, "seconds": round(time.perf_counter() - began, 1)}


@contextlib.contextmanager
def _precision(dtype: str) -> Iterator[None]:
    """Enable double precision for float64; disable it for float32, as in a model."""
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", dtype == "float64")
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)
