"""The encodings there are, one example of each: a new line here and an encoding is named everywhere.

Flags, configuration files and checkpoints find it by its class name, and `tests/encodings/contract_test.py` runs every
property of `ropelab.contract` on the example.
"""

from ropelab.encodings import specs
from ropelab.encodings.alibi import ALiBi
from ropelab.encodings.base import Encoding
from ropelab.encodings.clipped import ClippedRoPE
from ropelab.encodings.cope import CoPE
from ropelab.encodings.dual_chunk import DualChunk
from ropelab.encodings.dynamic_ntk import DynamicNTK
from ropelab.encodings.dynamic_pi import DynamicPI
from ropelab.encodings.dynamic_yarn import DynamicYaRN
from ropelab.encodings.fire import FIRE
from ropelab.encodings.fope import FoPE
from ropelab.encodings.hope import HoPE
from ropelab.encodings.kerple import KERPLE
from ropelab.encodings.layers import Layers
from ropelab.encodings.learned import LearnedAbsolute
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.logn import LogN
from ropelab.encodings.longrope import LongRoPE
from ropelab.encodings.nope import NoPE
from ropelab.encodings.ntk import NTK
from ropelab.encodings.ntk_by_parts import NTKByParts
from ropelab.encodings.pi import PI
from ropelab.encodings.pope import PoPE
from ropelab.encodings.proportional import ProportionalRoPE
from ropelab.encodings.rerope import LeakyReRoPE, ReRoPE
from ropelab.encodings.resonance import ResonanceRoPE
from ropelab.encodings.rope import RoPE
from ropelab.encodings.sandwich import Sandwich
from ropelab.encodings.scalable_softmax import ScalableSoftmax
from ropelab.encodings.self_extend import SelfExtend
from ropelab.encodings.sinusoidal import Sinusoidal
from ropelab.encodings.t5 import T5Bias
from ropelab.encodings.temperature import Temperature
from ropelab.encodings.xpos import XPos
from ropelab.encodings.yarn import YaRN

SHORT, LONG = (1.0, 1.0, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5), (1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 4.5, 5.0)

ALL: tuple[Encoding, ...] = (
    NoPE(),
    RoPE(base=1e4),
    PI(base=1e4, factor=2),
    NTK(base=1e4, alpha=2),
    NTKByParts(base=1e2, factor=4, original_length=64, beta=8),
    YaRN(base=1e2, factor=4, original_length=64),
    Llama3RoPE(base=1e2, factor=8, original_length=64),
    DynamicPI(base=1e4, original_length=24),
    DynamicPI(base=1e4, original_length=24, per="query", step=5),
    DynamicNTK(base=1e4, factor=2, original_length=24),
    DynamicNTK(base=1e4, factor=2, original_length=24, per="query", step=5),
    DynamicYaRN(base=1e2, original_length=64),
    DynamicYaRN(base=1e2, original_length=64, per="query", step=16),
    LongRoPE(base=1e4, factor=4, original_length=24, short_factor=SHORT, long_factor=LONG),
    LongRoPE(base=1e4, factor=4, original_length=24, short_factor=SHORT, long_factor=LONG, per="query"),
    ProportionalRoPE(base=1e4, fraction=0.5),
    ResonanceRoPE(of=PI(base=1e2, factor=2)),
    ClippedRoPE(base=1e2, clipped=6),
    HoPE(base=1e4, original_length=100),
    FoPE(base=1e4, original_length=100),
    XPos(base=1e4, scale_base=16),
    PoPE(base=1e4),
    ALiBi(),
    T5Bias(),
    KERPLE(kind="log"),
    KERPLE(kind="power"),
    Sandwich(),
    FIRE(),
    CoPE(max_position=9),
    ReRoPE(base=1e4, window=7),
    LeakyReRoPE(base=1e4, window=7, k=4),
    SelfExtend(base=1e4, group=3, window=8),
    DualChunk(base=1e4, chunk=12, local=4),
    LogN(of=RoPE(base=1e4), original_length=16),
    ScalableSoftmax(of=RoPE(base=1e4)),
    Temperature(of=NoPE(), interval=8),
    Sinusoidal(layout="interleaved"),
    LearnedAbsolute(max_length=32),
    Layers((RoPE(base=1e4), NoPE())),
)

CLASSES: dict[str, type[Encoding]] = {type(e).__name__: type(e) for e in ALL}


def parse(text: str) -> Encoding:
    """The encoding a spec string names: `parse(repr(e)) == e`.

    Raises:
        ValueError: for an unknown encoding or field, with the nearest right name, or a refused value.
    """
    return specs.parse(text, CLASSES, kind="encoding")
