"""PI, NTK, YaRN and dynamic NTK without fine-tuning, in byte models and in SmolLM2."""

from pathlib import Path

from experiments.papers.extension.readings import trained_length
from ropelab.reporting import grid
from ropelab.reporting.claims import Claim, One, below, judged
from ropelab.reporting.numbers import log_ratio
from ropelab.reporting.page import Section, code
from ropelab.reporting.readings import Column, Readings, as_perplexity, columns, read
from ropelab.reporting.run_files import read_records
from ropelab.reporting.swap_section import is_swap, position_charts, read_swap, receipt_tables

_BASE = "base"


def _name(text: str) -> str:
    return f"{_BASE} + {text}"


def _arms(trained: int) -> dict[str, str]:
    """As `experiments.measure` names them: the model, and what was swapped in."""
    found = {_BASE: "unchanged"}
    for s in (2, 4, 8):
        found |= {
            _name(f"PI(factor={s}.0)"): f"PI(factor={s})",
            _name(f"NTK(alpha={s}.0)"): f"NTK(alpha={s})",
            _name(f"YaRN(factor={s}.0, original_length={trained})"): f"YaRN(factor={s})",
        }
    return found | {_dynamic(trained): "dynamic NTK"}


def _dynamic(trained: int) -> str:
    return _name(f"DynamicNTK(factor=1.0, original_length={trained})")


def _read_small_models(root: Path) -> Readings:
    records = read_records(root / "untuned" / "bytes" / "records.jsonl", root)
    return read((r for r in records if r.evaluation == "perplexity" and r.metric == "nll"), value=as_perplexity)


def _small_models_claims(trained: int) -> list[Claim]:
    found = []
    for s in (2, 4, 8):
        at, pi, ntk = s * trained, _name(f"PI(factor={s}.0)"), _name(f"NTK(alpha={s}.0)")
        yarn = _name(f"YaRN(factor={s}.0, original_length={trained})")
        found += [
            Claim(f"at {s} times NTK is below PI", below((ntk, at), (pi, at))),
            Claim(f"at {s} times NTK is below the unchanged model", below((ntk, at), (_BASE, at))),
        ]
        found += [Claim(f"at {s} times YaRN is below NTK", below((yarn, at), (ntk, at)))] if s > 2 else []

    def same(one: One) -> float:
        return 1e-4 - abs(log_ratio(one(_dynamic(trained), trained), one(_BASE, trained)))

    return [
        *found,
        Claim("within the trained length dynamic NTK is the unchanged model, to 1 in 10000", same, exact=True),
        Claim("at four times dynamic NTK is below PI and YaRN for that factor",
              lambda one: min(below((_dynamic(trained), 4 * trained), (other, 4 * trained))(one) for other in (
                  _name("PI(factor=4.0)"), _name(f"YaRN(factor=4.0, original_length={trained})")))),
    ]  # fmt: skip


def small_models_section(root: Path) -> Section:
    found, trained = _read_small_models(root), trained_length(root)
    rows = read_records(root / "untuned" / "bytes" / "records.jsonl", root)
    note = f"Byte models trained on {trained} bytes, not fine-tuned. {rows[0].protocol.line()}." if rows else ""
    labels = _arms(trained)
    marks = ((trained, f"trained on {trained}"),)
    return Section(
        "Without fine-tuning, in small models",
        "Which scaling does least harm to a model that was never trained with it?",
        judged(_small_models_claims(trained), found),
        [
            grid.table("Ours", found, labels, columns(found), note=note),
            grid.chart("Perplexity by length", found,
                       {a: labels[a] for a in labels if "8" not in labels[a] and "2)" not in labels[a]},
                       x="length of the text, bytes", y="perplexity per byte", marks=marks, note=note),
        ],
    )  # fmt: skip


# Scaling without fine-tuning, in SmolLM2: what `experiments.swap` measured, beside the unchanged model.

_SMOLLM2_FOLDER = Path("untuned") / "smollm2"
_UNCHANGED = "unchanged"


def _read_smollm2(root: Path) -> Readings:
    """Perplexity by length, over all of it."""
    folder = root / _SMOLLM2_FOLDER
    where = _SMOLLM2_FOLDER.as_posix()
    records = [r for r in (read_swap(folder) if is_swap(folder) else []) if r.metric == "nll" and r.first is None]
    return read(
        (r.replace(sources=tuple(f"{where}/{source}" for source in r.sources)) for r in records), value=as_perplexity
    )


def _first_arm(readings: Readings, start: str) -> str:
    """The first arm whose name begins so; the beginning itself if there is none, so that a claim finds it missing."""
    return next((arm for arm in readings if arm.startswith(start)), start)


def _smollm2_claims(found: Readings, trained: int, far: Column) -> list[Claim]:
    pi, ntk, yarn, dynamic = (_first_arm(found, start) for start in ("PI", "NTK", "YaRN", "DynamicNTK"))

    def same(one: One) -> float:
        within = [c for c in one.columns(dynamic) if isinstance(c, int) and c <= trained]
        return 1e-4 - max(abs(log_ratio(one(dynamic, c), one(_UNCHANGED, c))) for c in within)

    return [
        Claim("beyond the trained length NTK is below PI", below((ntk, far), (pi, far))),
        Claim("beyond the trained length NTK is below the unchanged model", below((ntk, far), (_UNCHANGED, far))),
        Claim("beyond the trained length YaRN is below the unchanged model", below((yarn, far), (_UNCHANGED, far))),
        Claim("beyond the trained length dynamic NTK is below NTK and PI",
              lambda one: min(below((dynamic, far), (other, far))(one) for other in (ntk, pi))),
        Claim("within the trained length dynamic NTK is the unchanged model, to 1 in 10000", same, exact=True),
    ]  # fmt: skip


def smollm2_section(root: Path) -> Section:
    found, folder = _read_smollm2(root), root / _SMOLLM2_FOLDER
    lengths = sorted({c for by in found.values() for c in by if isinstance(c, int)})
    far = lengths[-1] if lengths else 0
    charts = position_charts([folder], list(found)) if is_swap(folder) else []
    return Section(
        "Without fine-tuning, in SmolLM2",
        "Which scaling carries a pretrained model beyond its trained length as it is?",
        judged(_smollm2_claims(found, 8192, far), found),
        [
            grid.table(
                "Ours, perplexity by length",
                found,
                {arm: code(arm) for arm in found},
                lengths,
                note=charts[0].note if charts else "",
            ),
            *charts,
            *receipt_tables(folder),
        ],
    )


TABLES = {"untuned": small_models_section, "untuned_smollm2": smollm2_section}
