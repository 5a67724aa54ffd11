"""Position → (q', k', combine): pure functions and the frozen values that name them."""

from ropelab.encodings.alibi import ALiBi, alibi_slopes
from ropelab.encodings.base import Context, Encoding
from ropelab.encodings.catalogue import ALL, parse
from ropelab.encodings.clipped import ClippedRoPE, clipped_frequencies
from ropelab.encodings.cope import CoPE
from ropelab.encodings.dual_chunk import DualChunk
from ropelab.encodings.dynamic_ntk import DynamicNTK, dynamic_ntk_frequencies
from ropelab.encodings.dynamic_pi import DynamicPI, dynamic_pi_frequencies
from ropelab.encodings.dynamic_yarn import DynamicYaRN, dynamic_yarn_frequencies
from ropelab.encodings.fire import FIRE
from ropelab.encodings.fope import FoPE
from ropelab.encodings.hope import HoPE, hope_frequencies
from ropelab.encodings.kerple import KERPLE
from ropelab.encodings.layers import Layers
from ropelab.encodings.learned import LearnedAbsolute
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.logn import LogN
from ropelab.encodings.longrope import LongRoPE, longrope_frequencies
from ropelab.encodings.nope import NoPE
from ropelab.encodings.ntk import NTK, ntk_frequencies
from ropelab.encodings.ntk_by_parts import NTKByParts
from ropelab.encodings.pi import PI, pi_frequencies
from ropelab.encodings.pope import PoPE
from ropelab.encodings.proportional import ProportionalRoPE, proportional_frequencies
from ropelab.encodings.rerope import LeakyReRoPE, ReRoPE
from ropelab.encodings.resonance import ResonanceRoPE, resonance_frequencies
from ropelab.encodings.rope import RoPE, rope_frequencies
from ropelab.encodings.rotary import Rotary
from ropelab.encodings.sandwich import Sandwich, sandwich_frequencies
from ropelab.encodings.scalable_softmax import ScalableSoftmax
from ropelab.encodings.scoring import scores
from ropelab.encodings.self_extend import SelfExtend
from ropelab.encodings.sinusoidal import Sinusoidal, sinusoidal_frequencies
from ropelab.encodings.t5 import T5Bias, t5_boundaries
from ropelab.encodings.temperature import Temperature
from ropelab.encodings.xpos import XPos, xpos_decay
from ropelab.encodings.yarn import YaRN, yarn_frequencies

__all__ = [
    "ALL",
    "FIRE",
    "KERPLE",
    "NTK",
    "PI",
    "ALiBi",
    "ClippedRoPE",
    "CoPE",
    "Context",
    "DualChunk",
    "DynamicNTK",
    "DynamicPI",
    "DynamicYaRN",
    "Encoding",
    "FoPE",
    "HoPE",
    "Layers",
    "LeakyReRoPE",
    "LearnedAbsolute",
    "Llama3RoPE",
    "LogN",
    "LongRoPE",
    "NTKByParts",
    "NoPE",
    "PoPE",
    "ProportionalRoPE",
    "ReRoPE",
    "ResonanceRoPE",
    "RoPE",
    "Rotary",
    "Sandwich",
    "ScalableSoftmax",
    "SelfExtend",
    "Sinusoidal",
    "T5Bias",
    "Temperature",
    "XPos",
    "YaRN",
    "alibi_slopes",
    "clipped_frequencies",
    "dynamic_ntk_frequencies",
    "dynamic_pi_frequencies",
    "dynamic_yarn_frequencies",
    "hope_frequencies",
    "longrope_frequencies",
    "ntk_frequencies",
    "parse",
    "pi_frequencies",
    "proportional_frequencies",
    "resonance_frequencies",
    "rope_frequencies",
    "sandwich_frequencies",
    "scores",
    "sinusoidal_frequencies",
    "t5_boundaries",
    "xpos_decay",
    "yarn_frequencies",
]
