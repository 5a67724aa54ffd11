"""The same scores from released implementations, which `make_scores.py` holds the formulas against.

x-transformers 2.31.10, torchscale 0.3.0 and transformers 5.23.0 on torch 2.13.0. Each function takes what a formula
takes and gives s_NTS of whole numbers 0 .. T - 1 unless it says otherwise. Where a peer's *attention* differs from
its own *encoding*, the encoding is called and the scores are formed here:
- PoPE: x-transformers then divides by sqrt(2H), the width after doubling: scores smaller by 1/sqrt(2). The paper's own
  d and PoPE-pytorch 0.2.1 are the width before.
- CoPE: facebookresearch/RAM divides q . e by sqrt(H) too unless `--cope-nodiv` is given; the paper's listing and
  x-transformers do not.
"""

import numpy as np
import torch
import transformers
from score_formulas import product, rope
from torchscale.component.xpos_relative_position import XPOS
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings
from transformers.models.llama4.modeling_llama4 import Llama4TextAttention
from transformers.models.ministral3.modeling_ministral3 import get_llama_4_attn_scale
from transformers.models.speech_to_text.modeling_speech_to_text import Speech2TextSinusoidalPositionalEmbedding
from transformers.models.t5.modeling_t5 import T5Attention
from x_transformers import x_transformers as xt


def head_first(x_TNH):
    return torch.tensor(x_TNH).transpose(0, 1)[None]


def dots(q_1NTH, k_1NSH, width):
    return (q_1NTH.double() @ k_1NSH.double().mT)[0].numpy() / np.sqrt(width)


def alibi(q, k, p):
    return product(q, k) + xt.AlibiPositionalBias(heads=q.shape[1]).forward_custom_pos(torch.tensor(p)).numpy()


def t5(q, k, p, *, buckets, max_distance, tables):
    bias = xt.RelativePositionBias(1.0, causal=True, num_buckets=buckets, max_distance=max_distance, heads=q.shape[1])
    bias.relative_attention_bias.weight.data = torch.tensor(tables["table"])
    return product(q, k) + bias(len(p), len(p)).detach().numpy()


def t5_buckets(distances, *, buckets, max_distance):
    """Of T5 in transformers, its logarithm in float32."""
    return T5Attention._relative_position_bucket(
        -torch.tensor(distances), bidirectional=False, num_buckets=buckets, max_distance=max_distance
    ).numpy()


def cope(q, k, p, *, tables):
    layer = xt.CoPE(dim=q.shape[-1], heads=q.shape[1], max_pos=len(tables["table"])).double()
    layer.pos_emb.data = torch.tensor(tables["table"], dtype=torch.float64)
    sim = torch.tensor(product(q, k))[None]
    hidden = torch.ones(sim.shape[-2:]).triu(1).bool()
    sim = sim.masked_fill(hidden, -torch.finfo(sim.dtype).max)
    return (sim + layer(head_first(q), sim))[0].detach().numpy()


def pope(q, k, p, *, base, tables):
    layer = xt.PolarEmbedding(q.shape[-1], heads=q.shape[1], base=base)
    layer.learned_bias.data += torch.tensor(tables["phase"])
    freqs, bias = layer(torch.tensor(p))
    turned = (xt.apply_polar_pos_emb(head_first(x), f).detach() for x, f in ((q, freqs), (k, freqs + bias)))
    return dots(*turned, q.shape[-1])


def xpos(q, k, p, *, base, pairing, gamma=0.4, scale_base=512):
    """x-transformers with its tables in float64, at any positions: in float32 they overflow from 72500 on."""
    assert (pairing, gamma) == ("interleaved", 0.4)
    dim = q.shape[-1]
    layer = xt.RotaryEmbedding(dim, use_xpos=True, scale_base=scale_base)
    even = torch.arange(0, dim, 2).double()
    layer.inv_freq, layer.scale = base ** (-even / dim), (even + 0.4 * dim) / (1.4 * dim)
    freqs, scale = layer(torch.tensor(p))
    turned = (xt.apply_rotary_pos_emb(head_first(x), freqs, s) for x, s in ((q, scale), (k, 1 / scale)))
    return dots(*turned, dim)


def xpos_torchscale(q, k, p, *, base, pairing):
    assert (base, pairing) == (1e4, "interleaved")
    layer = XPOS(q.shape[-1])
    q, k = (head_first(x)[0].float() for x in (q, k))
    return dots(layer(q)[None], layer(k, downscale=True)[None], q.shape[-1])


def proportional(q, k, p, *, base, fraction):
    rope_parameters = {"rope_type": "proportional", "rope_theta": base, "partial_rotary_factor": fraction}
    config = transformers.LlamaConfig(head_dim=q.shape[-1], rope_parameters=rope_parameters)
    inv_freq, _ = ROPE_INIT_FUNCTIONS["proportional"](config, device="cpu")
    return rope(q, k, p, inv_freq=inv_freq.numpy())


def llama4(q, k, p, *, interval, scale, first):
    """The queries that an attention layer without rotation hands to its kernel, its projections being identities."""
    assert first == 1
    seen = {}

    def watch(module, query, key, value, mask, **rest):
        seen["q"] = query
        return torch.zeros_like(query).transpose(1, 2), None

    ALL_ATTENTION_FUNCTIONS.register("watch", watch)
    _, heads, dim = q.shape
    config = transformers.Llama4TextConfig(
        hidden_size=heads * dim,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=dim,
        num_hidden_layers=1,
        no_rope_layers=[0],
        attn_temperature_tuning=True,
        floor_scale=interval,
        attn_scale=scale,
        attn_implementation="watch",
    )
    layer = Llama4TextAttention(config, 0).double()
    for projection in (layer.q_proj, layer.k_proj, layer.v_proj, layer.o_proj):
        projection.weight.data = torch.eye(heads * dim).double()
    layer(torch.tensor(q).reshape(1, len(p), -1), position_embeddings=None, attention_mask=None)
    return product(seen["q"][0].transpose(0, 1).detach().numpy(), k)


def ministral(i, *, interval, scale, first):
    assert first == 0
    return float(get_llama_4_attn_scale(torch.tensor([[i]]), scale, interval))


def sinusoidal(x_TD, p, *, layout):
    length, width = x_TD.shape
    if layout == "concatenated":
        layer = xt.ScaledSinusoidalEmbedding(width)
        layer.scale.data[:] = 1.0
        return x_TD + layer(torch.tensor(x_TD)[None]).detach().numpy()
    if layout == "tensor2tensor":
        return x_TD + Speech2TextSinusoidalPositionalEmbedding.get_embedding(length, width).numpy()
    table = torch.empty(length, width)
    create_sinusoidal_embeddings(length, width, table)
    return x_TD + table.numpy()
