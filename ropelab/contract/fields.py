"""Every field of an encoding matters: the commonest silent fault is a number that is asked for and never read."""

import dataclasses
import itertools
import types
from collections.abc import Iterable, Iterator
from typing import Any, Literal, get_args, get_origin

import jax.numpy as jnp
import numpy as np

from ropelab.contract.samples import H, N, Numbers, T, sample_params, sample_positions, sample_qkv
from ropelab.encodings import PI, Encoding, NoPE, RoPE, scores
from ropelab.spec import list_alternatives, resolve_field_types

_REFUSED = 1e6  # in place of NaN, with which a learned table answers for a position that it does not have
_VISIBLE = 1e-3  # of the largest score: a changed field changes some score by more than this


def every_field_changes_the_scores(encoding: Encoding) -> str | None:
    """Each field, set to something else, changes the scores beyond the trained length, or is refused.

    A field that is refused alone is varied together with each other field. Different choices of a literal differ.
    """
    if not dataclasses.fields(encoding):
        return "there are no fields"
    pos = sample_positions(encoding)
    for field in dataclasses.fields(encoding):
        for start in (encoding, *_vary_elsewhere(encoding, field.name)):
            before = _try_scores(pos, start)
            if before is None:
                continue
            tried = (
                _differ(before, s) for e in _list_variants(start, field.name) if (s := _try_scores(pos, e)) is not None
            )
            seen = list(_take_until_true(tried))
            if seen:
                where = f"{T} tokens at positions up to {pos.max()}"
                assert seen[-1], (
                    f"{field.name} of {start} changes nothing for {where}; give an example in which it does"
                )
                break
        _assert_choices_differ(pos, encoding, field.name)


def _take_until_true(values: Iterable[bool]) -> Iterator[bool]:
    for value in values:
        yield value
        if value:
            return


def _assert_choices_differ(pos: np.ndarray, encoding: Encoding, name: str) -> None:
    options = [o for a in _list_annotations(encoding, name) if get_origin(a) is Literal for o in get_args(a)]
    made = {o: s for o in options if (s := _try_scores(pos, _try_replace(encoding, **{name: o}))) is not None}
    for (a, of_a), (b, of_b) in itertools.combinations(made.items(), 2):
        assert _differ(of_a, of_b), f"{name}={a!r} and {name}={b!r} of {encoding} give the same scores"


def another_base_is_not_served_from_a_stale_table(encoding: Encoding) -> str | None:
    """Two encodings that differ in the base alone, asked one after the other, each give their own scores."""
    base = getattr(encoding, "base", None)
    if base is None:
        return "there is no base"
    pos, changed = sample_positions(encoding), _try_replace(encoding, base=3 * base)
    assert changed is not None, f"{encoding} refuses base={3 * base}"
    first, other, again = (_require_scores(pos, e) for e in (encoding, changed, dataclasses.replace(encoding)))
    assert _differ(first, other), f"the scores of {encoding} are served again for base={3 * base}"
    assert np.array_equal(first, again), f"the scores of {encoding} change after base={3 * base} was used"


def the_same_arguments_give_the_same_scores(encoding: Encoding) -> None:
    """An encoding is pure: nothing that any other encoding or call leaves behind changes its scores."""
    pos = sample_positions(encoding)
    first = _require_scores(pos, encoding)
    for field in dataclasses.fields(encoding):
        for other in _list_variants(encoding, field.name)[:1]:
            _try_scores(pos, other)
    assert np.array_equal(first, _require_scores(pos, encoding)), (
        f"the scores of {encoding} change after others were used"
    )


def _vary_elsewhere(encoding: Encoding, name: str) -> Iterator[Encoding]:
    """Encodings in which `name` and one other field have new values, from which `name` can be varied again."""
    for partner in dataclasses.fields(encoding):
        if partner.name != name:
            for a, b in itertools.product(_list_values(encoding, name), _list_values(encoding, partner.name)):
                joint = _try_replace(encoding, **{name: a, partner.name: b})
                if joint is not None:
                    yield joint


def _list_variants(encoding: Encoding, name: str) -> list[Encoding]:
    """The encoding with each alternative value of one field that it accepts."""
    made = (_try_replace(encoding, **{name: value}) for value in _list_values(encoding, name))
    return [e for e in made if e is not None]


def _list_values(encoding: Encoding, name: str) -> list[Any]:
    """Other values of a field, from its annotation."""
    value = getattr(encoding, name)
    found = [v for a in _list_annotations(encoding, name) for v in _make_other_values(value, a)]
    assert found, f"the contract cannot vary {name} of {encoding}: teach `other_values` its type"
    return found


def _make_other_values(value: Any, annotation: Any) -> list[Any]:
    """Values unlike `value`, of one alternative of its annotation."""
    if get_origin(annotation) is Literal:
        return [o for o in get_args(annotation) if o != value]
    if annotation is float:
        return [1.3, 0.7] if value in (None, 0.0) else [1.5 * value, value / 10]
    if annotation is int:
        return [8] if value is None else [2 * value, value + 2, 16 * value]
    if annotation is bool:
        return [not value]
    if get_origin(annotation) is tuple and value:
        inner = list_alternatives(get_args(annotation)[0])
        return [(v, *value[1:]) for a in inner for v in _make_other_values(value[0], a)]
    if isinstance(value, Encoding):
        inner = [e for f in dataclasses.fields(value) for e in _list_variants(value, f.name)]
        others = (RoPE(base=50.0), PI(base=50.0, factor=2.0), NoPE())
        return [*inner, *(e for e in others if isinstance(e, annotation) and e != value)]
    return []


def _list_annotations(encoding: Encoding, name: str) -> tuple[Any, ...]:
    return tuple(a for a in list_alternatives(resolve_field_types(type(encoding))[name]) if a is not types.NoneType)


def _try_replace(encoding: Encoding, **changes: Any) -> Encoding | None:
    """The changed encoding, or None if it refuses."""
    try:
        return dataclasses.replace(encoding, **changes)
    except ValueError:
        return None


def _try_scores(pos: Numbers, encoding: Encoding | None) -> np.ndarray | None:
    """Scores of tokens at these positions and what is added to their inputs, or None if there is no encoding or it
    refuses to give any."""
    if encoding is None:
        return None
    q, k, _ = sample_qkv()
    params = sample_params(encoding)
    places: Numbers = np.stack([pos, np.arange(len(pos), dtype=np.int32)])
    # Each row under its own length. Framed encodings know no other, and compile anew at each call: once for both.
    rows = [[0, 1]] if encoding.per_query_keys else [[0], [1]]
    try:
        found = [scores(encoding, q[r], k[r], places[r], places[r], params=params) for r in rows]
        added = [encoding.embed(params, jnp.zeros((len(r), len(pos), N * H)), places[r]) for r in rows]
    except ValueError:
        return None
    each = (np.concatenate([np.asarray(x) for x in part]) for part in (found, added))
    return np.concatenate([np.nan_to_num(x, nan=_REFUSED).ravel() for x in each])


def _require_scores(pos: np.ndarray, encoding: Encoding) -> np.ndarray:
    found = _try_scores(pos, encoding)
    assert found is not None, f"{encoding} can be made, and refuses to give scores"
    return found


def _differ(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape != b.shape or float(np.abs(a - b).max()) > _VISIBLE * float(np.abs(b).max())
