"""Which axis of which parameter lies along which axis of the mesh.

A table from parameter name to PartitionSpec, applied to arrays from outside: the model itself carries no
annotations and needs no mesh on a laptop.
"""

from jax.sharding import Mesh, PartitionSpec

TABLE: dict[str, tuple[str | None, ...]] = {
    "embedding": ("tensor", "fsdp"),
    "head": ("tensor", "fsdp"),
    "q": (None, "fsdp", "tensor", None),
    "k": (None, "fsdp", "tensor", None),
    "v": (None, "fsdp", "tensor", None),
    "o": (None, "tensor", None, "fsdp"),
    "gate": (None, "fsdp", "tensor"),
    "up": (None, "fsdp", "tensor"),
    "down": (None, "tensor", "fsdp"),
    "o_a": (None, "tensor", None, None),
    "o_b": (None, None, "fsdp"),
    "down_a": (None, "tensor", None),
    "down_b": (None, None, "fsdp"),
    **{f"{name}_a": (None, "fsdp", None) for name in ("q", "k", "v", "gate", "up")},
    **{f"{name}_b": (None, None, "tensor", None) for name in ("q", "k", "v")},
    **{f"{name}_b": (None, None, "tensor") for name in ("gate", "up")},
}


def partition_spec(path: tuple[str, ...], shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """The spec of one parameter; an axis that the mesh lacks or that does not divide evenly stays whole."""
    wanted = TABLE.get(path[-1], (None,) * len(shape))
    return PartitionSpec(*(a if fits(a, n, mesh) else None for a, n in zip(wanted, shape, strict=True)))


def fits(axis: str | None, size: int, mesh: Mesh) -> bool:
    return axis is not None and axis in mesh.shape and size % mesh.shape[axis] == 0
