"""What of a model is trained: all of it, or low-rank terms beside frozen matrices.

    x W  →  x W + (alpha / rank) (x A) B,   A, B trained, W frozen

`split` gives two trees, of which only the first has gradients and optimizer state; `join` puts them together as the
model's functions take them. LongLoRA is `LoRA(also=("embedding", "norms"))` with `ShiftedSparse` as the pattern.

Source: Hu et al., arXiv 2106.09685, section 4; LongLoRA: Chen et al., arXiv 2309.12307, section 3.3.
"""

import jax
import jax.numpy as jnp
from jax import Array

from ropelab import spec as specs
from ropelab.models import low_rank
from ropelab.models.family import Tree
from ropelab.spec import Spec, require, spec


@spec
class Adaptation(Spec):
    """Which parameters are trained, and how they go together with the others."""

    def split(self, key: Array, params: Tree) -> tuple[Tree, Tree]:
        """`(trainable, frozen)`: trees of arrays, those of `params` shared and not copied.

        An encoding's learned tables are trained under every adaptation.

        Raises:
            ValueError: for a model that lacks what is to be trained, or that has low-rank terms already.
        """
        raise NotImplementedError

    def join(self, trainable: Tree, frozen: Tree) -> Tree:
        """Parameters as the model's functions take them; pure."""
        raise NotImplementedError

    def merge(self, trainable: Tree, frozen: Tree) -> Tree:
        """Parameters of the shapes that the model had before `split`."""
        raise NotImplementedError


@spec
class Full(Adaptation):
    """Every parameter is trained."""

    def split(self, key: Array, params: Tree) -> tuple[Tree, Tree]:
        del key
        return params, {}

    def join(self, trainable: Tree, frozen: Tree) -> Tree:
        return _merge_trees(frozen, trainable)

    def merge(self, trainable: Tree, frozen: Tree) -> Tree:
        return _merge_trees(frozen, trainable)


@spec
class LoRA(low_rank.Terms, Adaptation):
    """Low-rank terms are trained, and what `also` names; everything else is frozen.

    What is trained is float32 at least. Joined, it has the type of the frozen weights, in which the model computes.
    """

    def split(self, key: Array, params: Tree) -> tuple[Tree, Tree]:
        _check_targets(self, params)
        trainable, frozen = _split_tree(self, params)
        layers = trainable.setdefault("layers", {})
        for name in self.targets:
            factors = low_rank.initial_factors(key, name, params["layers"][name].shape, self.rank)
            layers[f"{name}_a"], layers[f"{name}_b"] = factors
        return trainable, frozen

    def join(self, trainable: Tree, frozen: Tree) -> Tree:
        return _cast_like(frozen, self.united(trainable, frozen))

    def merge(self, trainable: Tree, frozen: Tree) -> Tree:
        """W + (alpha / rank) A B, the sum in float32."""
        return _cast_like(frozen, low_rank.merged(self.united(trainable, frozen)))

    def united(self, trainable: Tree, frozen: Tree) -> Tree:
        """Both trees in one, B with the factor in it."""
        whole = _merge_trees(frozen, trainable)
        scaled = {f"{name}_b": whole["layers"][f"{name}_b"] * self.scale for name in self.targets}
        return whole | {"layers": whole["layers"] | scaled}


KNOWN = {"Full": Full, "LoRA": LoRA}


def parse(text: str) -> Adaptation:
    """The adaptation that a spec string names: `parse(repr(a)) == a`.

    Raises:
        ValueError: for an unknown name or field, with the nearest right one, or a refused value.
    """
    return specs.parse(text, KNOWN, kind="adaptation")


def _check_targets(lora: LoRA, params: Tree) -> None:
    """Raise `ValueError` for what this model does not have, or has already."""
    layers = params["layers"]
    present = low_rank.present(layers)
    require(not present, lora, f"the model has low-rank terms beside {', '.join(present)} already; merge them first")
    for name in lora.targets:
        known = ", ".join(n for n in low_rank.PROJECTIONS if n in layers)
        require(name in layers, lora, f"the model has no projection {name!r}; it has {known}")
    tied = "head" in lora.also and "head" not in params
    require(not tied, lora, "also='head', and the model's head is its embedding table; name 'embedding' for both")


def _split_tree(lora: LoRA, branch: Tree, path: tuple[str, ...] = ()) -> tuple[Tree, Tree]:
    """The leaves of a tree that are trained whole, and the others."""
    trained: Tree = {}
    frozen: Tree = {}
    for name, value in branch.items():
        here = (*path, name)
        if isinstance(value, dict):
            of_trained, of_frozen = _split_tree(lora, value, here)
            trained |= {name: of_trained} if of_trained else {}
            frozen |= {name: of_frozen} if of_frozen else {}
        elif here[0] == "encoding" or lora.trains_whole(here):
            trained[name] = value.astype(jnp.promote_types(value.dtype, jnp.float32))
        else:
            frozen[name] = value
    return trained, frozen


def _cast_like(frozen: Tree, params: Tree) -> Tree:
    """All leaves in the type of the frozen matrices but an encoding's tables, which are float32 in every model."""
    dtype = frozen["layers"]["o"].dtype
    return {n: v if n == "encoding" else jax.tree.map(lambda x: x.astype(dtype), v) for n, v in params.items()}


def _merge_trees(below: Tree, above: Tree) -> Tree:
    """A new tree with the leaves of both, branch by branch."""
    both = {name: _merge_trees(below[name], above[name]) for name in below if isinstance(above.get(name), dict)}
    return below | above | both
