"""The encodings there are, one example of each: a new line here and an encoding is named everywhere.

Flags, configuration files and checkpoints find it by its class name, and the contract suite in
`tests/encodings` runs every property on the example.
"""

from ropelab.encodings import specs
from ropelab.encodings.alibi import ALiBi
from ropelab.encodings.base import Encoding
from ropelab.encodings.dynamic_ntk import DynamicNTK
from ropelab.encodings.llama3 import Llama3RoPE
from ropelab.encodings.nope import NoPE
from ropelab.encodings.ntk import NTK
from ropelab.encodings.pi import PI
from ropelab.encodings.rope import RoPE
from ropelab.encodings.yarn import YaRN

ALL: tuple[Encoding, ...] = (
    NoPE(),
    RoPE(base=1e4),
    PI(base=1e4, factor=2),
    NTK(base=1e4, alpha=2),
    DynamicNTK(base=1e4, factor=2, original_length=24),
    YaRN(base=1e2, factor=4, original_length=64),
    Llama3RoPE(base=1e2, factor=8, original_length=64),
    ALiBi(),
)


def parse(text: str) -> Encoding:
    """The encoding a spec string names: `parse(repr(e)) == e`.

    Raises:
        ValueError: for an unknown encoding or field, with the nearest right name, or a refused value.
    """
    return specs.parse(text, {type(e).__name__: type(e) for e in ALL}, kind="encoding")
