"""The tables of papers by name, in the order in which a report has them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from ropelab.reporting.page import Section
from ropelab.reporting.studies import (
    kmax,
    knobs,
    lex,
    longlora,
    longlora_costs,
    longnet,
    mpt,
    overlap,
    pi1,
    pi3,
    resolution,
    runtime,
    untuned,
    untuned_smollm2,
    yarn1,
    yarn2,
)

TABLES: Mapping[str, Callable[[Path], Section]] = {
    "lex": lex.section,
    "resolution": resolution.section,
    "overlap": overlap.section,
    "yarn1": yarn1.section,
    "yarn2": yarn2.section,
    "pi1": pi1.section,
    "pi3": pi3.section,
    "kmax": kmax.section,
    "untuned": untuned.section,
    "untuned_smollm2": untuned_smollm2.section,
    "longnet": longnet.section,
    "runtime": runtime.section,
    "longlora": longlora.section,
    "longlora_costs": longlora_costs.section,
    "mpt": mpt.section,
    "knobs": knobs.section,
}
