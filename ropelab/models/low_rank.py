"""Low-rank terms beside the projections of a layer, y = x W + (x A) B, as leaves of the tree of parameters.

    q_a [L, D, r], q_b [L, r, N, H]      o_a [L, N, H, r], o_b [L, r, D]      gate_a [L, D, r], gate_b [L, r, F]

and so on: A has the axes that the matrix reads, B those that it writes. B here has LoRA's factor alpha / r in it; a
model without such leaves is the program that it was.

Source: Hu et al., arXiv 2106.09685, section 4.1; the initial A is that of PEFT, `kaiming_uniform(a=sqrt(5))`.
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from ropelab.models.family import Tree
from ropelab.spec import Spec, at_least, require, spec

PROJECTIONS = ("q", "k", "v", "o", "gate", "up", "down")
READS = {"o": 2}  # axes of its input, where they are not one

Shape = tuple[int, ...]


@spec
class Terms(Spec):
    """Which projections have a low-rank term, and what else differs from the model that they adapt.

    Attributes:
        rank: of every term.
        alpha: the terms are multiplied by alpha / rank.
        targets: the projections that have one.
        also: parameters replaced whole: the embedding table (which is the head too where that is tied), every norm,
            a head of its own.
    """

    rank: int = 8
    alpha: float = 16.0
    targets: tuple[Literal["q", "k", "v", "o", "gate", "up", "down"], ...] = ("q", "k", "v", "o")
    also: tuple[Literal["embedding", "norms", "head"], ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "rank")
        require(self.alpha > 0, self, f"alpha={self.alpha} must be positive")
        require(bool(self.targets), self, f"targets=() adapts no matrix; name some of {', '.join(PROJECTIONS)}")
        for name in ("targets", "also"):
            value = getattr(self, name)
            require(len(set(value)) == len(value), self, f"{name}={value} names something twice")

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    def trains_whole(self, path: tuple[str, ...]) -> bool:
        """Whether `also` names the parameter at this path."""
        if path in (("embedding",), ("head",)):
            return path[0] in self.also
        return "norms" in self.also and path[-1].removesuffix("_bias").endswith("norm")


def factor_shapes(name: str, shape: Shape, rank: int) -> tuple[Shape, Shape]:
    """Shapes of A and B beside a stacked matrix of this shape."""
    split = 1 + READS.get(name, 1)
    return (*shape[:split], rank), (shape[0], rank, *shape[split:])


def initial_factors(key: Array, name: str, shape: Shape, rank: int) -> tuple[Array, Array]:
    """`(A, B)`, float32: A uniform within 1 / sqrt(in), B zero, so that the model begins as it was.

    The same key gives the same A, whichever other projections have terms.
    """
    a, b = factor_shapes(name, shape, rank)
    bound = 1 / math.sqrt(math.prod(a[1:-1]))
    own = jax.random.fold_in(key, PROJECTIONS.index(name))
    return jax.random.uniform(own, a, jnp.float32, -bound, bound), jnp.zeros(b, jnp.float32)


def present(layers: Tree) -> tuple[str, ...]:
    """The projections of a tree of layers that have a low-rank term."""
    return tuple(name for name in PROJECTIONS if f"{name}_a" in layers)


def merged(params: Tree) -> Tree:
    """Parameters without low-rank leaves: W + A B, the sum in float32 and then in the matrix's own type."""
    layers, names = params["layers"], present(params["layers"])
    whole = {name: added(layers[name], layers[f"{name}_a"], layers[f"{name}_b"]) for name in names}
    gone = {f"{name}_{part}" for name in names for part in "ab"}
    return params | {"layers": {name: whole.get(name, leaf) for name, leaf in layers.items() if name not in gone}}


def added(matrix: Array, a: Array, b: Array) -> Array:
    """W + A B for every layer."""
    L, rank = b.shape[:2]
    a, flat = a.astype(jnp.float32).reshape(L, -1, rank), b.astype(jnp.float32).reshape(L, rank, -1)
    term = jnp.einsum("LXR,LRY->LXY", a, flat, precision="highest").reshape(matrix.shape)
    return (matrix.astype(term.dtype) + term).astype(matrix.dtype)
