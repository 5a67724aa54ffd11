"""The flags of commands that measure on several devices: over how many the parameters are cut."""

import jax
from absl import flags
from jax.sharding import Mesh

from ropelab.training.mesh import MeshShape, make_mesh

AXES = {
    "fsdp": "Devices that the parameters are cut over, and gathered from when they are used.",
    "tensor": "Devices that heads, feed-forward and vocabulary are cut over.",
}


def define(values: flags.FlagValues) -> None:
    for name, text in AXES.items():
        flags.DEFINE_integer(name, 1, text, 1, flag_values=values)


def mesh_of(values: flags.FlagValues) -> Mesh | None:
    """The mesh that the flags want, None for one device.

    Raises:
        ValueError: if there are fewer devices.
    """
    wanted, there = values.fsdp * values.tensor, jax.devices()
    if wanted == 1:
        return None
    if wanted > len(there):
        raise ValueError(f"--fsdp={values.fsdp} --tensor={values.tensor} want {wanted} devices; there are {len(there)}")
    return make_mesh(MeshShape(data=1, fsdp=values.fsdp, tensor=values.tensor), there[:wanted])


if __name__ == "__main__":
    raise SystemExit("experiments.devices is used by the commands and is none itself; docs/running.md lists them")
