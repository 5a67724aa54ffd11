"""Generate the pages and pictures of the docs about every encoding and every pattern.

    python -m tools.docs_pages --docs=docs

Written to the folder: encodings.md, whose equations, sources and fields are those of the encodings' own files;
encodings/, a picture for each family; patterns.png. It takes less than a minute. Exit code 0: done. 2: bad input.
"""

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from ropelab import attention, spec
from ropelab.cli import launching
from ropelab.cli.planning import explained
from ropelab.encodings import ALL, Context, Encoding, Rotary, parse, registry
from ropelab.encodings.query_scaling import QueryScaled
from ropelab.evaluation.overview import counts_by_head, rotary_wavelengths, split_by_encoding
from ropelab.evaluation.resolution import expected_scores
from ropelab.reporting import files
from ropelab.reporting.charts.gallery import EncodingCurves, draw_encodings, draw_patterns
from ropelab.reporting.charts.style import render
from ropelab.reporting.encoding_page import Class, Entry, Family, Field, page

HEAD_DIM, HEADS, TRAINED, LENGTH = 64, 4, 512, 2048  # LENGTH = factor 4
PAIRS = HEAD_DIM // 2
PICTURES = "encodings"  # folder of the pictures, next to the page
ROPE = "RoPE(base=10000.0)"
LONG = ", ".join(f"{1 + 3 * (i / (PAIRS - 1)) ** 0.5:.2f}" for i in range(PAIRS))
SHORT = ", ".join(["1"] * PAIRS)
DRAWN = {  # title → spec
    "NoPE": "NoPE()",
    "RoPE": ROPE,
    "PI": "PI(base=1e4, factor=4)",
    "NTK": "NTK(base=1e4, alpha=4)",
    "NTKByParts": "NTKByParts(base=1e4, factor=4, original_length=512)",
    "NTKMixed": "NTKMixed(base=1e4, factor=4)",
    "YaRN": "YaRN(base=1e4, factor=4, original_length=512)",
    "Llama3RoPE": "Llama3RoPE(base=1e4, factor=4, original_length=512)",
    "DynamicPI": "DynamicPI(base=1e4, original_length=512)",
    "DynamicNTK": "DynamicNTK(base=1e4, original_length=512, factor=1)",
    "DynamicYaRN": "DynamicYaRN(base=1e4, original_length=512)",
    "LongRoPE": f"LongRoPE(base=1e4, factor=4, original_length=512, long_factor=({LONG}), short_factor=({SHORT}))",
    "ProportionalRoPE": "ProportionalRoPE(base=1e4, fraction=0.5)",
    "ResonanceRoPE": "ResonanceRoPE(inner=RoPE(base=1e4))",
    "ClippedRoPE": "ClippedRoPE(base=1e4, clipped=10)",
    "HoPE": "HoPE(base=1e4, original_length=512)",
    "FoPE": "FoPE(base=1e4, original_length=512)",
    "XPos": "XPos(base=1e4)",
    "PoPE": "PoPE(base=1e4)",
    "ALiBi": "ALiBi()",
    "T5Bias": "T5Bias(max_distance=512)",
    "KERPLE, log": "KERPLE(kind='log')",
    "KERPLE, power": "KERPLE(kind='power')",
    "Sandwich": "Sandwich()",
    "FIRE": "FIRE()",
    "CoPE": "CoPE(max_position=512)",
    "ReRoPE": "ReRoPE(base=1e4, window=256)",
    "LeakyReRoPE": "LeakyReRoPE(base=1e4, window=256, k=8)",
    "SelfExtend": "SelfExtend(base=1e4, group=8, window=256)",
    "DualChunk": "DualChunk(base=1e4, chunk=384, local=64)",
    "LogN": "LogN(inner=RoPE(base=1e4), original_length=512)",
    "ScalableSoftmax": "ScalableSoftmax(inner=RoPE(base=1e4))",
    "Temperature": "Temperature(inner=RoPE(base=1e4), interval=512)",
    "Sinusoidal": "Sinusoidal(layout='interleaved')",
    "LearnedAbsolute": "LearnedAbsolute(max_length=2048)",
    "Layers": "Layers((RoPE(base=1e4), NoPE()))",
}
PATTERNS = (
    *("Causal()", "Bidirectional()", "SlidingWindow(window=8)", "Sinks(sinks=2, window=6)"),
    *("LambdaMask(starting=3, local=6)", "BlockwiseCausal(block=12)", "Grouped(group=8)", "ShiftedSparse(group=8)"),
    *("Dilated(segments=(8, 24), rates=(1, 2))", "FixedSparse(block=6, summary=2)"),
)
TOKENS = 24  # of a pattern's square
INTRODUCTION = """
# Every encoding, with its equation, its source and its picture

Written by `python -m tools.docs_pages --docs=docs` from the encodings' own files; a test compares the two.
[concepts.md](concepts.md) defines encodings, [contract.md](contract.md) lists their properties, and
[catalogue.md](catalogue.md) shows each inside SmolLM2, untrained.

d is the number of rotated dimensions of a head and H the head dimension; in formulas of inv_freq, i is a rotary pair
and theta_i = base^(-2i/d), elsewhere i is a query's position and j a key's; h is a head of N; R(p) turns each pair by
p times its inv_freq. Encodings given by inv_freq only score q_i R(i - j) k_j / sqrt(H).
"""
SHOWN = f"""
Above: the score that the last query of {LENGTH} tokens gives to a key at each distance, if q = k = 1 in {HEAD_DIM}
dimensions, divided by √{HEAD_DIM} ([seeing.md](seeing.md)): every distance in light blue, its moving average in
blue, and that of RoPE(base=1e4) in grey if any of the family rotates. The trained length of {TRAINED} is dotted.
Heads that differ, of {HEADS}, are light to dark. Learned tables are those of `init` with seed 0. Scores more than 16
below the highest are cut off: such a key gets less than a millionth of its weight. For encodings that are added to the
input it is the inner product of the vectors added at the two positions, in {HEAD_DIM} dimensions and divided by
√{HEAD_DIM}.

Below, unless they are RoPE's: the wavelength of each rotary pair in tokens; a triangle is a pair that never turns.
For temperatures, the factor on each query. `python -m experiments.show` draws any of them with other values, and
measures scores in a model.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    flags.DEFINE_string("docs", None, "Folder for the pages and pictures.", flag_values=values)
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    launching.refuse_words(words, "settings are given as --name=value")
    if not values.docs:
        raise ValueError("--docs is missing; name the folder of the docs")
    folder = Path(values.docs)
    written = [files.write(folder / "encodings.md", encodings_page())]
    rope = curves("RoPE", parse(ROPE))
    for family in families(DRAWN, PICTURES):
        specs = {title: spec for entry in family.entries for title, spec in entry.drawn.items()}
        drawn = [curves(title, parse(spec)) for title, spec in specs.items()]
        figure = draw_encodings(drawn, rope, trained_length=TRAINED)
        written.append(files.write(folder / family.picture, render(figure, "png")))
    counts = {spec: counts_by_head(attention.parse(spec), HEADS, TOKENS) for spec in PATTERNS}
    written.append(files.write(folder / "patterns.png", render(draw_patterns(counts), "png")))
    print(f"written: {', '.join(map(str, written))}")
    return 0


def encodings_page() -> str:
    """The text of encodings.md."""
    return page(families(DRAWN, PICTURES), list(fields(Rotary)), introduction=INTRODUCTION, shown=SHOWN)


def curves(title: str, encoding: Encoding) -> EncodingCurves:
    """Return the curves of an encoding."""
    if encoding.adds_to_input:
        return EncodingCurves(title, inner_products(encoding)[None])
    kinds = split_by_encoding({title: encoding}).values()
    distances = np.arange(LENGTH)
    each = [expected_scores(kind, HEAD_DIM, distances, length=LENGTH, num_heads=HEADS).each for kind in kinds]
    wavelengths = rotary_wavelengths({title: next(iter(kinds))}, HEAD_DIM, LENGTH)
    factors = sharpness(encoding) if isinstance(encoding, QueryScaled) else None
    return EncodingCurves(title, distinct(np.concatenate(each)), wavelengths.get(title), factors)


def sharpness(encoding: QueryScaled) -> np.ndarray:
    """The factor on the query at each position, f32[T], of the first head."""
    params = encoding.init(jax.random.key(0), num_heads=HEADS, head_dim=HEAD_DIM)
    ctx = Context(LENGTH, HEADS, jnp.arange(HEADS))
    return np.asarray(encoding.query_scale(params, jnp.arange(LENGTH)[None], ctx))[0, :, 0]


def distinct(rows_Mn: np.ndarray) -> np.ndarray:
    """The rows that differ, in their order."""
    kept = [n for n, row in enumerate(rows_Mn) if not any(np.allclose(row, rows_Mn[m], atol=1e-4) for m in range(n))]
    return rows_Mn[kept]


def inner_products(encoding: Encoding) -> np.ndarray:
    """Return x_(T-1) . x_(T-1-n) / sqrt(D) of the vectors added to the input at two positions n apart, f64[n]."""
    params = encoding.init(jax.random.key(0), num_heads=HEADS, head_dim=HEAD_DIM // HEADS)
    x_1TD = encoding.embed(params, jnp.zeros((1, LENGTH, HEAD_DIM)), jnp.arange(LENGTH)[None])
    x_TD = np.asarray(x_1TD[0], np.float64)
    return (x_TD @ x_TD[-1])[::-1] / np.sqrt(HEAD_DIM)


def families(drawn: Mapping[str, str], folder: str) -> list[Family]:
    """Return the families of the registry, in its order, each titled by the comment above its lines.

    Args:
        drawn: the specs of curves by their titles; a file without any has those of its examples.
        folder: the folder of the pictures, relative to the page.
    """
    found: list[Family] = []
    for line in inspect.getsource(registry).splitlines():
        if line.startswith("# "):
            title = line.removeprefix("# ")
            picture = f"{folder}/{re.sub(r'[^a-z]+', '_', title.lower())}.png"
            found.append(Family(title[0].upper() + title[1:], picture, []))
        elif line.endswith("import *"):
            found[-1].entries.append(entry(line.split()[1], drawn))
    return found


def entry(name: str, drawn: Mapping[str, str]) -> Entry:
    """Return the entry of one file."""
    module = sys.modules[name]
    own = [cls for cls in registry.find_classes(module).values() if cls.__name__ in registry.CLASSES]
    shown = {title: spec for title, spec in drawn.items() if type(parse(spec)) in own}
    shown = shown or {type(e).__name__: repr(e) for e in ALL if type(e) in own}
    return Entry(
        file=Path(str(module.__file__)).name,
        docstring=str(module.__doc__),
        classes=[Class(cls.__name__, summary(cls), list(fields(cls))) for cls in own],
        rotary=any(issubclass(cls, Rotary) and "base" in names(cls) for cls in own),
        drawn=shown,
    )


def fields(cls: type[Encoding]) -> Iterator[Field]:
    """The fields of a class but those of every rotary encoding."""
    shared = names(Rotary) if issubclass(cls, Rotary) else []
    for field in dataclasses.fields(cls):
        if field.name not in shared or cls is Rotary:
            default = "" if field.default is dataclasses.MISSING else repr(field.default)
            kind = spec.describe_type(spec.resolve_field_types(cls)[field.name])
            yield Field(field.name, kind, default, explained(cls).get(field.name, ""))


def names(cls: type[Encoding]) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def summary(cls: type[Encoding]) -> str:
    """The first paragraph of the docstring."""
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())


if __name__ == "__main__":
    sys.exit(main())
