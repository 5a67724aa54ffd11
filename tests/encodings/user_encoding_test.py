"""The interface carries what the catalogue does not: an encoding with two views and a learned table, from outside."""

import numpy as np
import pytest

from ropelab import attention
from ropelab.contract.calls import KERNELS, make_positions, run_with_gradients
from ropelab.contract.kernels import sample_cotangents, scattered_positions
from ropelab.contract.samples import PATTERNS, T, assert_same, sample_params, sample_qkv
from ropelab.encodings import scores
from tests.encodings.user_encoding import LeakyReRoPE, loop_scores

ENCODING = LeakyReRoPE(base=1e4, window=8)


def test_scores_equal_a_float64_loop():
    """On both sides of the seam between the views."""
    q, k, _ = sample_qkv()
    pos, params = np.arange(T), sample_params(ENCODING)
    expected = loop_scores(ENCODING, params, q, k, pos, pos)
    assert_same(scores(ENCODING, q, k, pos, pos, params=params), expected, 1e-5, "scores")


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("pattern", PATTERNS, ids=repr)
def test_the_table_learns(pattern, kernel):
    """Finite gradients that are not zero reach the slope of every head, on every kernel."""
    placement = make_positions(scattered_positions(), length=8 * T)
    given = (ENCODING, pattern, KERNELS[kernel], sample_params(ENCODING), sample_qkv(), placement, sample_cotangents())
    slopes = np.asarray(run_with_gradients(*given)[1]["slopes"])
    assert np.isfinite(slopes).all()
    assert (np.abs(slopes) > 1e-3).all()


def test_the_table_gradient_is_the_slope_of_the_output():
    """Against a difference quotient in the direction of one head."""
    params, step = sample_params(ENCODING), 1e-2
    pattern, kernel, placement = (
        attention.Causal(),
        KERNELS["blockwise"],
        make_positions(scattered_positions(), length=8 * T),
    )
    dout, dlse = sample_cotangents()

    def run(shift):
        moved = {"slopes": params["slopes"] + shift}
        (out, lse), dparams, _ = run_with_gradients(
            ENCODING, pattern, kernel, moved, sample_qkv(), placement, (dout, dlse)
        )
        return float(np.sum(out * dout) + np.sum(lse * dlse)), np.asarray(dparams["slopes"])

    for head in range(len(params["slopes"])):
        shift = np.eye(len(params["slopes"]), dtype=np.float32)[head] * step
        quotient = (run(shift)[0] - run(-shift)[0]) / (2 * step)
        assert run(0 * shift)[1][head] == pytest.approx(quotient, rel=1e-2, abs=1e-2)
