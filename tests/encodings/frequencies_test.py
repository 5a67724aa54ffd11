"""Frequencies and temperatures against transformers, the YaRN authors' code and the paper, and their identities."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.encodings import (
    NTK,
    PI,
    DynamicNTK,
    Llama3RoPE,
    RoPE,
    YaRN,
    dynamic_ntk_frequencies,
    ntk_frequencies,
    pi_frequencies,
    rope_frequencies,
    yarn_frequencies,
)
from tests.encodings import frozen

# (source, kind) → how a case is read, and how many there are: everything else in the file is named in LEFT_OUT.
READ = {
    ("transformers", "default"): (frozen.from_transformers, 12),
    ("transformers", "linear"): (frozen.from_transformers, 48),
    ("transformers", "dynamic"): (frozen.from_transformers, 480),
    ("transformers", "yarn"): (frozen.from_transformers, 254),
    ("transformers", "llama3"): (frozen.from_transformers, 98),
    ("transformers", "longrope"): (frozen.from_transformers, 28),
    ("jquesnelle/yarn", "LinearScaled"): (frozen.from_authors, 48),
    ("jquesnelle/yarn", "NTKScaled"): (frozen.from_authors, 48),
    ("jquesnelle/yarn", "DynamicScaled"): (frozen.from_authors, 144),
    ("jquesnelle/yarn", "DynamicYaRNScaled"): (frozen.from_authors, 69),
    ("jquesnelle/yarn", "YaRNScaled"): (frozen.from_authors, 98),
    ("paper, float64 loop", "yarn"): (frozen.from_paper, 99),
}
LEFT_OUT = {
    ("jquesnelle/yarn", "PartNTKScaled"): 101,  # three tables mixed over the index: not the paper's NTK by parts
    ("jquesnelle/yarn", "DynamicYaRNScaled"): 3,  # plain up to the length of its table, four times the trained one
    ("jquesnelle/yarn", "YaRNScaled"): 2,  # extrapolation_factor: a share of the ramp, in no release
}


def kind_of(case):
    return case["source"], case["kind"]


def has_no_counterpart(case):
    given = case.get("arguments", {})
    return kind_of(case) not in READ or "extrapolation_factor" in given or stays_plain_too_long(case)


def stays_plain_too_long(case):
    """The authors' dynamic YaRN of an unfinished model, between the trained length and that of its table."""
    given = case.get("arguments", {})
    if case["kind"] != "DynamicYaRNScaled" or given.get("finetuned", False):
        return False
    return given["original_max_position_embeddings"] < case["seq_len"] <= given["max_position_embeddings"]


def rows_of(kind):
    found = enumerate(frozen.cases("frequencies"))
    return [(row, case) for row, case in found if kind_of(case) == kind and not has_no_counterpart(case)]


def test_every_case_is_read_or_left_out_by_name():
    assert Counter(kind_of(c) for c in frozen.cases("frequencies") if has_no_counterpart(c)) == LEFT_OUT
    assert sum(count for _, count in READ.values()) + sum(LEFT_OUT.values()) == len(frozen.cases("frequencies"))


@pytest.mark.parametrize("kind", READ, ids=" ".join)
def test_frozen_frequencies(kind):
    read, count = READ[kind]
    rows = rows_of(kind)
    assert len(rows) == count
    for row, case in rows:
        frozen.equals_frozen_frequencies(row, read(case))


@pytest.mark.parametrize("kind", [k for k in READ if "ynamic" in k[1] or k[1] == "longrope"], ids=" ".join)
def test_frozen_frequencies_of_a_traced_length(kind):
    """As exact as those of a known one: a growing cache knows its length only when it runs."""
    for row, case in rows_of(kind):
        frozen.equals_frozen_frequencies(row, READ[kind][0](case), traced=True)


def test_a_jitted_length_gives_what_a_known_one_gives():
    encoding = DynamicNTK(base=1e4, factor=2.0, original_length=2048)
    traced = jax.jit(lambda length: encoding.frequencies(64, length)[0])
    for length in (1, 2048, 2049, 8192):
        np.testing.assert_allclose(traced(jnp.asarray(length)), encoding.frequencies(64, length)[0], rtol=1e-14)


@pytest.mark.parametrize("head_dim", [16, 64, 128])
def test_a_factor_of_one_is_plain_rope(head_dim):
    plain = RoPE(base=1e4).frequencies(head_dim, 8192)
    others = (
        PI(base=1e4, factor=1),
        NTK(base=1e4, alpha=1),
        DynamicNTK(base=1e4, factor=1, original_length=8192),
        YaRN(base=1e4, factor=1, original_length=2048),
        YaRN(base=1e4, factor=1, original_length=2048, ramp="wavelength"),
        Llama3RoPE(base=1e4, factor=1, original_length=2048),
    )
    for other in others:
        inv_freq, amplitude = other.frequencies(head_dim, 8192)
        np.testing.assert_allclose(inv_freq, plain[0], rtol=1e-15, err_msg=repr(other))
        assert amplitude == 1.0, other


def test_dynamic_ntk_is_plain_up_to_the_trained_length_and_ntk_beyond():
    plain = rope_frequencies(64, base=1e4)
    for length in (1, 2047, 2048):
        found = dynamic_ntk_frequencies(64, base=1e4, factor=4.0, original_length=2048, length=length)
        np.testing.assert_array_equal(found, plain)
    grown = dynamic_ntk_frequencies(64, base=1e4, factor=4.0, original_length=2048, length=3 * 2048)
    np.testing.assert_array_equal(grown, ntk_frequencies(64, base=1e4, alpha=4.0 * 3 - 3))


@pytest.mark.parametrize("head_dim", [4, 16, 64, 96, 128])
@pytest.mark.parametrize("alpha", [1.5, 2.0, 8.0])
def test_ntk_keeps_the_fastest_and_interpolates_the_slowest(head_dim, alpha):
    """The definition of the enlarged base: the ends are exact, whatever the head."""
    plain = rope_frequencies(head_dim, base=1e4)
    scaled = ntk_frequencies(head_dim, base=1e4, alpha=alpha)
    assert scaled[0] == plain[0] == 1.0
    np.testing.assert_allclose(scaled[-1], plain[-1] / alpha, rtol=1e-13)
    np.testing.assert_allclose(scaled[-1], pi_frequencies(head_dim, base=1e4, factor=alpha)[-1], rtol=1e-13)


@pytest.mark.parametrize("head_dim", [64, 96, 128])
def test_the_exponent_64_63_is_right_for_heads_of_128_only(head_dim):
    copied = rope_frequencies(head_dim, base=1e4 * 8.0 ** (64 / 63))
    right = ntk_frequencies(head_dim, base=1e4, alpha=8.0)
    assert np.allclose(copied, right, rtol=1e-12) == (head_dim == 128)


def test_the_two_yarn_ramps_differ_by_two_thirds():
    """Two encodings under one name: the released code against the paper, worst at pair 38."""
    index, wavelength = (
        yarn_frequencies(128, base=1e4, factor=16.0, original_length=4096, ramp=ramp)
        for ramp in ("index", "wavelength")
    )
    difference = np.abs(wavelength / index - 1)
    assert difference.argmax() == 38
    assert difference.max() == pytest.approx(0.67, abs=0.005)


@pytest.mark.parametrize("head_dim", [16, 64, 128])
def test_only_the_rotated_dimensions_count(head_dim):
    """A partial rotation has the frequencies of a smaller head: half of the pairs of this one are wrong."""
    for encoding in (RoPE(base=1e4), YaRN(base=1e4, factor=4, original_length=2048), NTK(base=1e4, alpha=2)):
        partial = type(encoding)(**{**vars(encoding), "rotary_dim": head_dim // 2})
        np.testing.assert_array_equal(
            partial.frequencies(head_dim, 1)[0], encoding.frequencies(head_dim // 2, 1)[0], err_msg=repr(partial)
        )
