"""What a checkpoint must be, written beside it: the sum of every array and the digest of every file.

    sum(x) = sum_i mix(bits(x_i), i)  mod 2^32,      mix(., i) one-to-one for every i

A changed element always changes its sum, and a sum does not care how the array is cut over devices, so it is taken
where the array lies and the same on any mesh. Two sums with other constants make 64 bits. Sums are taken before
anything is written and again of what was read back; the files' SHA-256 catches what no array shows, such as the
position in the data. Orbax alone let 196 of 200 flipped bits through.
"""

import hashlib
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax import Array

NAME = "manifest.json"
_CONSTANTS = ((0x9E3779B1, 0x85EBCA77), (0xC2B2AE3D, 0x27D4EB2F))
_UNSIGNED = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32, 8: jnp.uint32}  # 8 bytes: two words, on a last axis


class DamagedError(ValueError):
    """A checkpoint is not what was saved."""


def array_sums(tree: Any) -> dict[str, str]:
    """Sixteen hexadecimal digits for every leaf, by its path."""
    leaves = jax.tree.leaves_with_path(tree)
    sums = jax.device_get(_sums([leaf for _, leaf in leaves]))
    return {
        jax.tree_util.keystr(path): "".join(f"{int(part):08x}" for part in found)
        for (path, _), found in zip(leaves, sums, strict=True)
    }


def leaf_shapes(tree: Any) -> dict[str, str]:
    """Shape and type of every leaf, by its path: "(3, 4) float32"."""
    return {jax.tree_util.keystr(path): f"{leaf.shape} {leaf.dtype}" for path, leaf in jax.tree.leaves_with_path(tree)}


@jax.jit
def _sums(leaves: list[Array]) -> list[Array]:
    # one program for all: 30 programs, one a leaf, in flight on eight devices of a CPU with two cores take each other's
    # threads while they wait for one another, and XLA ends the process
    return [jnp.stack([_mixed_sum(leaf, *pair) for pair in _CONSTANTS]) for leaf in leaves]


def _mixed_sum(x: Array, at: int, by: int) -> Array:
    """uint32: the sum of the array's mixed bits."""
    bits = jax.lax.bitcast_convert_type(x, _UNSIGNED[x.dtype.itemsize]).astype(jnp.uint32)
    index = jnp.zeros((), jnp.uint32)
    for axis, size in enumerate(bits.shape):
        index = index * np.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, bits.shape, axis)
    mixed = (bits ^ (index * np.uint32(at))) * np.uint32(by)
    mixed = (mixed ^ (mixed >> 15)) * np.uint32(at)
    return jnp.sum(mixed ^ (mixed >> 13), dtype=jnp.uint32)


def write(step: epath.Path, facts: dict[str, Any]) -> None:
    """Seal a finished checkpoint: facts about it, and the digest of every file that it has."""
    body = {**facts, "files": _file_digests(step)}
    text = json.dumps(body, indent=1, sort_keys=True)
    unnamed = step / f"{NAME}.unfinished"
    unnamed.write_text(json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "body": text}))
    unnamed.replace(step / NAME)


def read(step: epath.Path) -> dict[str, Any]:
    """The facts of a sealed checkpoint, whose files are as they were.

    Raises:
        DamagedError: naming the file.
    """
    facts, found = read_facts(step), _file_digests(step)
    for name, digest in facts["files"].items():
        if found.pop(name, None) != digest:
            raise DamagedError(f"{step / name} is not the file that was saved")
    if found:
        raise DamagedError(f"{step / next(iter(found))} was not there when the checkpoint was saved")
    return facts


def read_facts(step: epath.Path) -> dict[str, Any]:
    """The facts of a sealed checkpoint, its files unread.

    Raises:
        DamagedError: if the manifest itself is not as it was written, or is that of another step.
    """
    facts = _parse(step)
    number = facts["step"]
    if step.name.isdecimal() and number != int(step.name):
        raise DamagedError(f"{step} holds the checkpoint of step {number}; rename the folder to {number}")
    return facts


def _parse(step: epath.Path) -> dict[str, Any]:
    """What a manifest says, each entry of its type.

    Raises:
        DamagedError: if it cannot be read, its digest is another, or an entry is missing or of another type.
    """
    try:
        outer = json.loads((step / NAME).read_text())
        text = outer["body"]
        intact = hashlib.sha256(text.encode()).hexdigest() == outer["sha256"] and set(outer) == {"body", "sha256"}
        facts = json.loads(text) if intact else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        facts = None
    if not (isinstance(facts, dict) and all(is_kind(facts.get(name)) for name, is_kind in _ENTRIES.items())):
        raise DamagedError(f"{step / NAME} is damaged")
    return facts


def _is_step(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_loss(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(entry, str) for entry in value.values())


def _is_table_or_absent(value: Any) -> bool:
    return value is None or _is_table(value)


_ENTRIES = {  # `shapes` is not in checkpoints of the first versions
    "step": _is_step,
    "loss": _is_loss,
    "base": _is_text,
    "arrays": _is_table,
    "files": _is_table,
    "shapes": _is_table_or_absent,
}


def check_shapes(facts: dict[str, Any], tree: Any, step: epath.Path) -> None:
    """Raise `ValueError` unless a checkpoint has the arrays of this tree; otherwise it is of another plan."""
    wanted = leaf_shapes(tree)
    saved = facts.get("shapes") or {name: wanted.get(name, "an array") for name in facts["arrays"]}
    differ = sorted(name for name in wanted.keys() | saved.keys() if wanted.get(name) != saved.get(name))
    if differ:
        name = differ[0]
        raise ValueError(
            f"{step} was saved by a training with other settings: {name} is {saved.get(name, 'not there')} in it and "
            f"{wanted.get(name, 'not there')} in this plan; bring the old settings back, or take another folder"
        )


def check_sums(tree: Any, wanted: dict[str, str], step: epath.Path) -> None:
    """Raise `DamagedError` unless every array read back is the one that was saved."""
    for name, found in array_sums(tree).items():
        if wanted.get(name) != found:
            raise DamagedError(f"{step}: {name} is not the array that was saved")


def _file_digests(step: epath.Path) -> dict[str, str]:
    """SHA-256 of every file of a checkpoint besides the manifest."""
    files = sorted(path for path in _walk(step) if not path.name.startswith(NAME))
    return {str(path.relative_to(step)): _digest(path) for path in files}


def _walk(folder: epath.Path) -> list[epath.Path]:
    inside = list(folder.iterdir())
    return [p for p in inside if not p.is_dir()] + [p for d in inside if d.is_dir() for p in _walk(d)]


def _digest(path: epath.Path) -> str:
    with path.open("rb") as file:
        found = hashlib.sha256()
        while part := file.read(1 << 22):
            found.update(part)
    return found.hexdigest()
