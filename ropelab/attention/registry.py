"""Registry of the kernels by name, and the choice among them."""

from collections.abc import Callable

from jax import Array

from ropelab import spec
from ropelab.attention.exchanges import EXCHANGES, Exchange
from ropelab.attention.formula import Formula, Operands
from ropelab.attention.kernels.blockwise import blockwise
from ropelab.attention.kernels.dense import dense
from ropelab.attention.kernels.fused import cudnn, splash
from ropelab.encodings.base import Encoding

Kernel = Callable[[Formula, Operands], tuple[Array, Array]]
KERNELS: dict[str, Kernel] = {"dense": dense, "blockwise": blockwise}
FUSED: dict[str, Callable[..., tuple[Array, Array]]] = {
    "cudnn": cudnn,
    "splash": splash,
}  # by name alone, until they have run on their hardware
_MAX_DENSE_SCORES = 256 * 1024  # scores per head below which one dense square is faster than a loop over blocks


def parse(kernel: str | Exchange) -> str | Exchange:
    """Return a kernel's name unchanged, or the exchange that a spec such as "Ring(axis='sequence')" means.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(kernel, Exchange) or kernel in (*KERNELS, *FUSED, "auto"):
        return kernel
    if kernel.split("(")[0].strip() in EXCHANGES:
        return spec.parse(kernel, EXCHANGES, kind="exchange")
    names = ", ".join((*KERNELS, *FUSED, *(f"{name}()" for name in EXCHANGES)))
    raise ValueError(f"unknown kernel {kernel!r}; there are {names} and auto")


def choose_kernel(kernel: str | Exchange, T: int, S: int, encoding: Encoding | None = None) -> str:
    """Return the name of the kernel that will run.

    "auto" means `dense` for few scores and `blockwise` otherwise. Encodings with per-query keys always run `blockwise`,
    because `dense` encodes all keys again for each query.
    """
    kernel = parse(kernel)
    if kernel == "auto":
        by_query = encoding is not None and encoding.per_query_keys and T > 1
        return "dense" if T * S <= _MAX_DENSE_SCORES and not by_query else "blockwise"
    return str(kernel)


def select_kernel(name: str, formula: Formula, operands: Operands) -> tuple[Array, Array]:
    """Evaluate the formula with the portable kernel of this name, or for "auto" with the faster one."""
    T, S = operands.queries.pos.shape[1], operands.keys.pos.shape[1]
    return KERNELS[choose_kernel(name, T, S, formula.encoding)](formula, operands)
