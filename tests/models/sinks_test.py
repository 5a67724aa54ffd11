"""Learned sink logits inside a model: in the full forward, in decoding, and in the gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from ropelab.attention import SlidingWindow
from ropelab.encodings import RoPE
from ropelab.models import compiled, from_scratch
from ropelab.models.llama import LlamaConfig

SIZES = {"vocabulary": 61, "width": 32, "layers": 2, "heads": 4, "key_heads": 2, "head_dim": 8, "feed_forward": 48}
CONFIG = LlamaConfig(**SIZES, norm_eps=1e-5, trained_length=64, sink_logits=True)
TOKENS = np.random.default_rng(0).integers(0, 61, (2, 24))


def test_a_model_with_sinks_decodes_as_it_reads_and_its_sinks_learn():
    model = from_scratch(CONFIG, RoPE(base=1e4), SlidingWindow(window=9), seed=0)
    full = np.asarray(model.logits(TOKENS))
    np.testing.assert_allclose(model.decode_logits(TOKENS, prefill=20), full, rtol=0, atol=1e-5)
    params = model.params
    assert params["layers"]["sink_logits"].shape == (2, 4)

    def loss(params, wiring):
        return jnp.mean(compiled.nll(wiring, params, jnp.asarray(TOKENS), None, None, length=24))

    learned = np.asarray(jax.grad(loss)(params, model.wiring)["layers"]["sink_logits"])
    assert np.isfinite(learned).all()
    assert learned.all()


def test_a_model_without_sinks_has_none():
    plain = from_scratch(
        dataclasses.replace(CONFIG, sink_logits=False), RoPE(base=1e4), SlidingWindow(window=9), seed=0
    )
    assert "sink_logits" not in plain.params["layers"]
