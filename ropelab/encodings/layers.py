"""A schedule over layers: each layer its own encoding, the list repeated as often as the model is deep.

    Layers((RoPE(), RoPE(), RoPE(), NoPE()))        three layers with rotation, one without: SmolLM3, Llama-4, Cohere2
    Layers((RoPE(base=1e4),) * 5 + (PI(base=1e6, factor=8),))      Gemma-3's local and global layers

Configurations of transformers count with `no_rope_layers[i] == 1` for a layer that *has* rotation.
"""

import dataclasses
from typing import ClassVar, Self

from jax import Array

from ropelab.encodings.base import Encoding, Params, init_encodings
from ropelab.encodings.nope import NoPE
from ropelab.encodings.rope import RoPE
from ropelab.spec import require, spec

__all__ = ["Layers"]


@spec
class Layers(Encoding):
    """`schedule[l % len(schedule)]` in layer l. Learned tables are a dictionary by kind, "0", "1", ..."""

    positional: ClassVar[tuple[str, ...]] = ("schedule",)

    schedule: tuple[Encoding, ...]

    def __init__(self, schedule: tuple[Encoding, ...]) -> None:
        object.__setattr__(self, "schedule", schedule)
        self.__post_init__()

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.schedule) > 0, self, "the schedule is empty; give one encoding or more")
        nested = [e for e in self.schedule if e.unique_encodings() != (e,)]
        require(not nested, self, "a schedule within a schedule; write its layers out")
        added = [e for e in self.schedule if e.adds_to_input]
        require(not added, self, f"{', '.join(map(repr, added))} is added to the input, not to a layer")

    def unique_encodings(self) -> tuple[Encoding, ...]:
        return tuple(dict.fromkeys(self.schedule))

    def encoding_index(self, layer: int) -> int:
        return self.unique_encodings().index(self.schedule[layer % len(self.schedule)])

    @property
    def depends_on_length(self) -> bool:
        return any(kind.depends_on_length for kind in self.unique_encodings())

    @property
    def relative(self) -> bool:
        return all(kind.relative for kind in self.unique_encodings())

    @property
    def fractional_positions(self) -> bool:
        return all(kind.fractional_positions for kind in self.unique_encodings())

    @property
    def per_query_keys(self) -> bool:
        return any(kind.per_query_keys for kind in self.unique_encodings())

    @property
    def needs_full_rows(self) -> bool:
        return any(kind.needs_full_rows for kind in self.unique_encodings())

    def init(self, key: Array, *, num_heads: int, head_dim: int) -> Params:
        return init_encodings(self.unique_encodings(), key, num_heads=num_heads, head_dim=head_dim)

    def inherit(self, other: Encoding) -> Self:
        return dataclasses.replace(self, schedule=tuple(e.inherit(other) for e in self.schedule))

    def check(self, head_dim: int) -> None:
        for kind in self.unique_encodings():
            kind.check(head_dim)


EXAMPLES = (Layers((RoPE(base=1e4), NoPE())),)
