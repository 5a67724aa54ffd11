"""Position → (q', k', combine): pure functions and the frozen values that name them."""

from ropelab.encodings.alibi import ALiBi, alibi_slopes
from ropelab.encodings.base import Context, Encoding
from ropelab.encodings.catalogue import ALL, parse
from ropelab.encodings.dynamic_ntk import DynamicNTK, dynamic_ntk_frequencies
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.nope import NoPE
from ropelab.encodings.ntk import NTK, ntk_frequencies
from ropelab.encodings.pi import PI, pi_frequencies
from ropelab.encodings.rope import RoPE, rope_frequencies
from ropelab.encodings.rotary import Rotary
from ropelab.encodings.scoring import scores
from ropelab.encodings.yarn import YaRN, yarn_frequencies

__all__ = [
    "ALL",
    "NTK",
    "PI",
    "ALiBi",
    "Context",
    "DynamicNTK",
    "Encoding",
    "Llama3RoPE",
    "NoPE",
    "RoPE",
    "Rotary",
    "YaRN",
    "alibi_slopes",
    "dynamic_ntk_frequencies",
    "ntk_frequencies",
    "parse",
    "pi_frequencies",
    "rope_frequencies",
    "scores",
    "yarn_frequencies",
]
