"""All tables of the papers by name, in the order in which a report has them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from experiments.papers.lex import claims as lex
from experiments.papers.longlora import claims as longlora
from experiments.papers.longnet import claims as longnet
from experiments.papers.mpt import claims as mpt
from experiments.papers.ntk import claims as ntk
from experiments.papers.pi import claims as pi
from experiments.papers.rope_settings import claims as rope_settings
from experiments.papers.yarn import claims as yarn
from ropelab.reporting.page import Section

TABLES: Mapping[str, Callable[[Path], Section]] = {
    name: section
    for paper in (lex, yarn, pi, ntk, longnet, longlora, mpt, rope_settings)
    for name, section in paper.TABLES.items()
}
