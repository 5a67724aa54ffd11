"""A model sharded over a mesh is the same model, and every device holds its part and no more."""

from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import ropelab
from ropelab.models.sharding import partition_spec
from tests.models import tiny

# 97 words divide by nothing, so the vocabulary stays whole; two key heads divide by a "tensor" of 2 and not of 4.
EXPECTED = {
    "embedding": P(None, "fsdp"),
    "head": P(None, "fsdp"),
    "norm": P(None),
    "attention_norm": P(None, None),
    "mlp_norm": P(None, None),
    "q": P(None, "fsdp", "tensor", None),
    "k": P(None, "fsdp", "tensor", None),
    "v": P(None, "fsdp", "tensor", None),
    "o": P(None, "tensor", None, "fsdp"),
    "gate": P(None, "fsdp", "tensor"),
    "up": P(None, "fsdp", "tensor"),
    "down": P(None, "tensor", "fsdp"),
}
UNTIED = "default_5e5_untied"


def mesh_of(**axes: int) -> Mesh:
    devices = jax.devices()
    assert len(devices) >= 8, "eight host devices are set up in tests/conftest.py, before jax starts"
    count = int(np.prod(list(axes.values())))
    return Mesh(np.asarray(devices[:count]).reshape(tuple(axes.values())), tuple(axes))


@pytest.mark.parametrize("axes", [{"fsdp": 4, "tensor": 2}, {"fsdp": 2, "tensor": 4}])
def test_sharded_logits_are_the_unsharded_ones(axes: dict[str, int], tmp_path: Path) -> None:
    sharded = ropelab.load(tiny.write(tmp_path, UNTIED), mesh=mesh_of(**axes))
    whole = tiny.lab(UNTIED)
    np.testing.assert_allclose(sharded.logits(tiny.SHORT), whole.logits(tiny.SHORT), atol=3e-5)  # logits up to 7


def test_every_leaf_has_its_sharding_and_every_shard_its_values(tmp_path: Path) -> None:
    mesh = mesh_of(fsdp=4, tensor=2)
    sharded = ropelab.load(tiny.write(tmp_path, UNTIED), mesh=mesh).params
    whole = dict(jax.tree.leaves_with_path(tiny.lab(UNTIED).params))
    for path, leaf in jax.tree.leaves_with_path(sharded):
        wanted = NamedSharding(mesh, EXPECTED[path[-1].key])
        assert leaf.sharding.is_equivalent_to(wanted, leaf.ndim), (path, leaf.sharding.spec)
        for shard in leaf.addressable_shards:
            np.testing.assert_array_equal(shard.data, np.asarray(whole[path])[shard.index])


def test_a_device_holds_its_share_of_the_layers(tmp_path: Path) -> None:
    """What fsdp and tensor are for: an eighth of each matrix for each of eight devices."""
    params = ropelab.load(tiny.write(tmp_path, UNTIED), mesh=mesh_of(fsdp=4, tensor=2)).params
    for name in ("q", "k", "v", "o", "gate", "up", "down"):
        leaf = params["layers"][name]
        assert {shard.data.size for shard in leaf.addressable_shards} == {leaf.size // 8}


def test_an_axis_that_does_not_divide_or_is_not_there_leaves_the_parameter_whole() -> None:
    wide = mesh_of(fsdp=2, tensor=4)
    assert partition_spec(("layers", "k"), (2, 64, 2, 16), wide) == P(None, "fsdp", None, None)
    assert partition_spec(("layers", "q"), (2, 63, 4, 16), wide) == P(None, None, "tensor", None)
    assert partition_spec(("layers", "q"), (2, 64, 4, 16), mesh_of(data=2)) == P(None, None, None, None)
    assert partition_spec(("layers", "q_bias"), (2, 4, 16), wide) == P(None, None, None)
