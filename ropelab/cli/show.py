"""Draw a pattern and its encodings: counts, receptive field, scores by distance, wavelengths, attention resolution.

    python -m experiments.show --pattern="Dilated(segments=(8, 16), rates=(1, 2))" --encoding="RoPE(base=10000.0)"
    python -m experiments.show --model=smollm2 --encoding="RoPE; XPos" --lengths=512,1024,2048 --workdir=runs/show

Several encodings are separated by ;. With a model, heads, weights and trained length are the model's, missing fields
are inherited from its checkpoint, and the scores of a text are measured in it under each encoding and the pattern; an
encoding that is added to the input has only measured scores. Written to the workdir: portrait.png, .pdf and .svg,
resolution.csv, scores.csv, counts.csv, reach.csv, wavelengths.csv, settings.json and, with a model, measured.npz with
every layer and head. Exit code 0: done. 2: bad input.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags
from tqdm import tqdm

from ropelab import attention
from ropelab import spec as specs
from ropelab.attention import Pattern
from ropelab.cli import launching
from ropelab.cli.figure_flags import define_figure_flags, figure_options
from ropelab.cli.variants import label_variants
from ropelab.data.text import read_text
from ropelab.encodings import Encoding
from ropelab.encodings.user_module import parse_with_import
from ropelab.evaluation.overview import (
    EXPECTED,
    MEASURED,
    MOST_TOKENS,
    Curves,
    Overview,
    expected_curves,
    make_overview,
    mean_curves,
    measured_curves,
    resolution_records,
    rotary_wavelengths,
)
from ropelab.evaluation.perplexity import split_documents
from ropelab.evaluation.record import Protocol
from ropelab.evaluation.resolution import check_has_scores
from ropelab.evaluation.store import describe_versions
from ropelab.lab import Lab, load, tokens_of
from ropelab.models.parameters import fingerprint
from ropelab.reporting import files
from ropelab.reporting.charts.overview import DATA_FILES, draw_overview, write_overview_data
from ropelab.reporting.charts.style import FORMATS, FigureOptions, render
from ropelab.reporting.tables import evaluation_tables, print_table

HELP = {
    "pattern": "Spec of the attention pattern; by default Causal().",
    "encoding": "Specs of encodings, separated by ;, with optional labels: A = RoPE(base=1e6). By default the model's, "
    "or RoPE(base=10000.0).",
    "model": "smollm2, a .gguf file, a Hugging Face directory or hub id, to measure scores in; by default none.",
    "text": "Text that the model reads: python-reference, python-stdlib, a UTF-8 file or a folder.",
    "workdir": "Folder for everything that the command writes.",
    "heads": "Query heads; by default the model's, or 4.",
    "head_dim": "Dimensions of a head; by default the model's, or 64.",
    "length": f"Tokens of the squares, at most {MOST_TOKENS}.",
    "layers": "Layers of the receptive field.",
    "sinks": "First tokens whose keys are not measured.",
    "lengths": "Text lengths for which attention resolution is printed.",
}
OUTPUTS = (*(f"portrait.{kind}" for kind in FORMATS), *DATA_FILES, "measured.npz", "settings.json")


class Asked(NamedTuple):
    """A checked command line; nothing has been compiled yet."""

    pattern: Pattern
    encodings: dict[str, Encoding]
    labs: dict[str, Lab]
    heads: int
    head_dim: int
    sinks: int
    lengths: tuple[int, ...]
    tokens_T: np.ndarray | None
    protocol: str


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    for name in ("pattern", "encoding", "model"):
        flags.DEFINE_string(name, None, HELP[name], flag_values=values)
    flags.DEFINE_string("text", "python-reference", HELP["text"], flag_values=values)
    flags.DEFINE_string("workdir", "runs/show", HELP["workdir"], flag_values=values)
    for name, default in (("heads", None), ("head_dim", None), ("length", 32), ("layers", 3)):
        flags.DEFINE_integer(name, default, HELP[name], 1, flag_values=values)
    flags.DEFINE_integer("sinks", 4, HELP["sinks"], 0, flag_values=values)
    flags.DEFINE_list("lengths", ["512", "1024", "2048"], HELP["lengths"], flag_values=values)
    define_figure_flags(values)
    return launching.run_with_flags(run, values, argv)


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    launching.refuse_words(words, "settings are given as --name=value")
    asked, options, workdir = checked(values), figure_options(values), Path(values.workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    for name in OUTPUTS:
        (workdir / name).unlink(missing_ok=True)
    for name, lab in asked.labs.items():
        print(f"{name}: {lab.receipt().statement}")
    with_scores = {name: encoding for name, encoding in asked.encodings.items() if not encoding.adds_to_input}
    expected = expected_curves(with_scores, asked.lengths, asked.head_dim, asked.heads)
    measured = measured_with_progress(asked)
    turns = rotary_wavelengths(asked.encodings, asked.head_dim, max(asked.lengths))
    drawn = make_overview(
        asked.pattern, expected, measured, turns, num_heads=asked.heads, tokens=values.length, layers=values.layers
    )
    records = resolution_records(expected, measured, Protocol(method=asked.protocol))
    means = {way: mean_curves(curves) for way, curves in ((EXPECTED, expected), (MEASURED, measured))}
    write_overview_data(
        workdir,
        drawn.counts_NTT,
        drawn.reach_TT,
        means,
        drawn.wavelengths,
        [record.row() | {"protocol": asked.protocol} for record in records],
    )
    if measured:
        files.write(workdir / "measured.npz", archive(measured))
    write_figure(workdir, drawn, asked, values.model, options)
    files.write_json(workdir / "settings.json", {"command": command, "protocol": asked.protocol})
    for shown in evaluation_tables(records):
        print_table(shown._replace(note=""))
    print(asked.protocol)
    print(f"written to {workdir}: {', '.join(name for name in OUTPUTS if (workdir / name).exists())}")
    return 0


def checked(values: flags.FlagValues) -> Asked:
    """Check the flags and load the model.

    Raises:
        ValueError: for the first invalid flag.
    """
    pattern = attention.parse(values.pattern) if values.pattern else attention.Causal()
    if values.length > MOST_TOKENS:
        raise ValueError(f"--length={values.length} is more than a picture shows; give {MOST_TOKENS} at most")
    lengths = launching.parse_lengths(values.lengths)
    texts = [text.strip() for text in specs.split_list(values.encoding or "", ";")] if values.encoding else []
    if len(set(texts)) < len(texts):
        raise ValueError(f"--encoding={values.encoding!r} names the same encoding twice; leave one out")
    encodings = {name: parse_with_import(spec) for name, spec in label_variants(texts).items()}
    if values.model is None:
        heads, head_dim = values.heads or 4, values.head_dim or 64
        encodings = encodings or {"RoPE(base=10000.0)": parse_with_import("RoPE(base=10000.0)")}
        for encoding in encodings.values():
            check_has_scores(encoding)
            encoding.check(head_dim)
        return Asked(pattern, encodings, {}, heads, head_dim, 0, lengths, None, protocol_line(heads, head_dim))
    return in_a_model(values, pattern, encodings, lengths)


def in_a_model(
    values: flags.FlagValues, pattern: Pattern, encodings: dict[str, Encoding], lengths: tuple[int, ...]
) -> Asked:
    """Complete the checked flags by a model and the tokens of the text."""
    text, lab = read_text(values.text), load(values.model)
    config = lab.config
    for name, own in (("heads", config.heads), ("head_dim", config.head_dim)):
        if values[name].value not in (None, own):
            raise ValueError(f"--{name}={values[name].value}, but {lab.name} has {own}; leave it out")
    labs = {name: lab.swap(encoding, pattern) for name, encoding in (encodings or {repr(lab.encoding): None}).items()}
    if values.sinks > lengths[0] - 2:
        raise ValueError(f"--sinks={values.sinks} leaves fewer than two distances of the {lengths[0]} in --lengths")
    tokens_T = split_documents(tokens_of(lab, text.content), max(lengths), 1)[0]
    line = protocol_line(
        config.heads,
        config.head_dim,
        f"measured: model {lab.full_name} (weights {fingerprint(lab.params)}) under {pattern!r}; "
        f"text {text.name} (sha256 {text.sha256[:12]}), its first tokens in one window, BOS none added; "
        f"scaled scores before the softmax of all causal pairs but those with a key among the first {values.sinks} "
        f"tokens, mean of {config.layers} layers and {config.heads} heads; float32, kernel {lab.model.wiring.kernel}",
    )
    complete = {name: one.encoding for name, one in labs.items()}
    return Asked(pattern, complete, labs, config.heads, config.head_dim, values.sinks, lengths, tokens_T, line)


def protocol_line(heads: int, head_dim: int, measured: str = "") -> str:
    """Return the protocol of the numbers in one line."""
    expected = (
        f"expected: q = k = 1 in {head_dim} dimensions, scores q·k/√{head_dim} of the last query of each length, "
        f"mean of {heads} heads, learned tables as initialised"
    )
    return "; ".join(part for part in (expected, measured, describe_versions()) if part)


def measured_with_progress(asked: Asked) -> Curves:
    """Call `measured_at` with a progress bar of tokens; empty without a model."""
    if asked.tokens_T is None:
        return {}
    with tqdm(total=len(asked.labs) * sum(asked.lengths), unit="tok", dynamic_ncols=True) as bar:
        models = {name: lab.model for name, lab in asked.labs.items()}
        return measured_curves(models, asked.tokens_T, asked.lengths, asked.sinks, bar.update)


def write_figure(workdir: Path, drawn: Overview, asked: Asked, model: str | None, options: FigureOptions) -> None:
    config = next(iter(asked.labs.values())).config if asked.labs else None
    trained = config.trained_length if config else 0
    figure = draw_overview(
        **drawn._asdict(),
        title=f"{asked.pattern!r}" + (f" in {model}" if model else ""),
        length=trained or min(asked.lengths),
        length_name="trained length" if trained else "length",
        protocol=asked.protocol,
        options=options,
    )
    for kind in FORMATS:
        files.write(workdir / f"portrait.{kind}", render(figure, kind))


def archive(measured: Curves) -> bytes:
    """Return an archive of every layer and head, [L, N, n] for each encoding and length."""
    buffer = io.BytesIO()
    each: dict[str, Any] = {f"{name} @ {T}": curve.each for name, by in measured.items() for T, curve in by.items()}
    np.savez_compressed(buffer, **each)
    return buffer.getvalue()
