"""Attention as the authors' repositories compute it, which `make_patterns.py` freezes.

Every function runs the authors' own code from a checkout (`peer_checkouts.py`), with projections that hand out the
given q, k, v. Arrays are q_BTNH, k_BTNH, v_BTNH of torch in float64, and so is what comes back. Nothing is rotated
unless a function says so.
"""

import contextlib
import math
from argparse import Namespace
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import torch
from peer_checkouts import Handed, borrow, flash, flat, masked
from torch import nn
from transformers.masking_utils import chunked_causal_mask_function, sliding_window_causal_mask_function

jax.config.update("jax_enable_x64", True)

# --- LongNet


def longnet(q, k, v, *, segments, rates, mixing_learns=False, causal=True, ranks=1):
    """The layer itself; with `mixing_learns` its `torch.no_grad` around the mixing weights does nothing."""
    dilated, multihead = borrow(
        "torchscale", "torchscale.component.dilated_attention", "torchscale.component.multihead_attention"
    )
    multihead.flash_attn_func = flash
    N, H = q.shape[2:]
    args = Namespace(
        multiway=False, layernorm_eps=1e-5, xpos_rel_pos=False, flash_attention=True, seq_parallel=ranks > 1,
        segment_length=list(segments), dilated_ratio=list(rates),
    )  # fmt: skip
    layer = dilated.DilatedAttention(args, N * H, N, self_attention=True)
    layer.out_proj = nn.Identity()

    def run(*qkv):
        layer.q_proj, layer.k_proj, layer.v_proj = (Handed(flat(x)) for x in qkv)
        quiet = mock.patch.object(dilated.torch, "no_grad", contextlib.nullcontext)
        with quiet if mixing_learns else contextlib.nullcontext():
            out, _ = layer(*3 * (layer.q_proj.x,), is_causal=causal)
        return out.reshape(qkv[0].shape)

    if ranks == 1:
        return run(q, k, v)
    shares, sent, outs = [x.chunk(ranks, dim=1) for x in (q, k, v)], {}, []
    dilated.get_data_parallel_world_size = lambda: ranks
    for _ in range(2):  # what the ranks send to each other in the first round is there in the second
        outs.clear()
        for rank in range(ranks):
            dilated.get_data_parallel_rank = lambda rank=rank: rank
            calls = iter(range(99))

            def gather(x, rank=rank, calls=calls):
                call = next(calls)
                sent[call, rank] = x
                return torch.cat([sent.get((call, r), x) for r in range(ranks)])

            dilated.all_gather_func = gather
            outs.append(run(*(share[rank] for share in shares)))
    return torch.cat(outs, dim=1)


# --- LEX


def lex(q, k, v, *, block, xpos=False, decoded=False):
    """The decoder's own blocks, padding and masks around one attention layer; or its steps, one token at a time."""
    decoder_code, attention_code, xpos_code = borrow(
        "torchscale-lex",
        "torchscale.architecture.decoder",
        "torchscale.component.multihead_attention",
        "torchscale.component.xpos_relative_position",
    )
    T, N, H = q.shape[1:]
    packed = torch.cat([flat(x) for x in (q, k, v)], dim=-1)[0]
    attention = attention_code.MultiheadAttention(
        Namespace(block_size=block, multiway=False), N * H, N, self_attention=True
    )
    attention.out_proj = nn.Identity()

    class Layer(nn.Module):
        def forward(self, x, encoded, mask, state, self_attn_mask, self_attn_padding_mask, self_attn_rel_pos, **_):
            parts = x.chunk(3, dim=-1)
            attention.q_proj, attention.k_proj, attention.v_proj = map(Handed, parts)
            masks = self_attn_padding_mask, self_attn_mask
            return attention(parts[0], x, x, state, *masks, self_attn_rel_pos)[0], None, None, None

    decoder = decoder_code.Decoder.__new__(decoder_code.Decoder)
    nn.Module.__init__(decoder)
    absent = (
        "embed_positions", "layernorm_embedding", "layer_norm", "cross_attn_xpos", "self_attn_relative_position",
        "cross_attn_relative_position",
    )  # fmt: skip
    for name in absent:
        setattr(decoder, name, None)
    decoder.block_size, decoder.half_block_size, decoder.embed_scale = block, block // 2, 1.0
    decoder.embed_tokens, decoder.dropout_module = lambda tokens: packed[tokens], nn.Identity()
    decoder.self_attn_xpos = xpos_code.XPos(H).double() if xpos else None
    decoder.layers = nn.ModuleList([Layer()])
    tokens = torch.arange(T)[None]
    if not decoded:
        return decoder(tokens, features_only=True)[0].reshape(q.shape)
    state = {0: {}}
    steps = [decoder(tokens[:, : t + 1], incremental_state=state, features_only=True)[0] for t in range(T)]
    return torch.cat(steps, dim=1).reshape(q.shape)


# --- LongLoRA


def unpad(x, mask):
    """The tokens that the mask keeps, their places, the ends of the rows and the longest row."""
    kept = mask.bool()
    lengths = kept.sum(1)
    ends = nn.functional.pad(lengths.cumsum(0), (1, 0)).int()
    return x[kept], kept.flatten().nonzero()[:, 0], ends, int(lengths.max())


def pad(x, indices, batch, length):
    whole = x.new_zeros(batch * length, *x.shape[1:])
    whole[indices] = x
    return whole.unflatten(0, (batch, length))


def flash_stretches(qkv, ends, longest, dropout, softmax_scale=None, causal=True):
    """Attention within each stretch of the tokens that lie behind each other."""
    outs = [flash(*part[None].unbind(2), is_causal=causal)[0][0] for part in qkv.tensor_split(ends[1:-1].long())]
    return torch.cat(outs)


def longlora(q, k, v, *, group, path="forward_flashattn", present=None):
    """Its group is a quarter of the text whatever the text; padded texts say which tokens are present."""
    (code,) = borrow("LongLoRA", "llama_attn_replace")
    code.unpad_input, code.pad_input, code.flash_attn_varlen_qkvpacked_func = unpad, pad, flash_stretches
    code.apply_rotary_pos_emb = lambda q, k, *_: (q, k)
    B, T, N, H = q.shape
    assert group == T // 4
    layer = Namespace(
        q_proj=Handed(flat(q)), k_proj=Handed(flat(k)), v_proj=Handed(flat(v)), o_proj=nn.Identity(),
        num_heads=N, num_key_value_heads=N, num_key_value_groups=1, head_dim=H, hidden_size=N * H, training=True,
        rotary_emb=lambda *_, **__: (None, None), config=Namespace(pretraining_tp=1),
    )  # fmt: skip
    mask = torch.ones(B, T).long() if present is None else present
    if path == "forward_noflashattn":
        mask = torch.full((T, T), -math.inf).triu(1).double().expand(B, 1, T, T)
    return getattr(code, path)(layer, flat(q), attention_mask=mask)[0].reshape(q.shape)


# --- Sparse Transformer


def sparse_transformer(q, k, v, *, block, unit, layouts, units):
    """Its `fixed` layout of blocks of `unit` tokens and, in each, the pairs that its callback leaves."""
    (code,) = borrow("sparse_attention", "attention")
    code.BlocksparseTransformer = lambda layout, **rest: Namespace(layout=layout, **rest)
    T, N = q.shape[1:3]
    made = code.get_blocksparse_obj(T, N, "fixed", unit, block, layouts, units)
    layout = np.broadcast_to(made.layout, (N, T // unit, T // unit))
    visible = np.zeros((N, T, T), bool)
    for h, i, j in zip(*layout.nonzero(), strict=True):
        pairs = made.mask_callback((unit, unit), h, i, j, 0)
        visible[h, i * unit : (i + 1) * unit, j * unit : (j + 1) * unit] = pairs
    return masked(q, k, v, torch.tensor(visible))[0]


# --- StreamingLLM and LM-Infinite


def streaming(q, k, v, *, sinks, recent, cut, base=None):
    """Token by token through its cache, cut "after" each token or "before" it; with a base, rotated by place in it."""
    cache_code, layer_code = borrow("streaming-llm", "streaming_llm.kv_cache", "streaming_llm.pos_shift.modify_llama")
    T, N, H = q.shape[1:]
    layer = Namespace(
        o_proj=nn.Identity(), num_heads=N, num_key_value_heads=N, num_key_value_groups=1, head_dim=H, hidden_size=N * H,
        rotary_emb=lambda x, seq_len: cos_and_sin(seq_len, H, base), config=Namespace(pretraining_tp=1),
    )  # fmt: skip
    cache, past, outs = cache_code.StartRecentKVCache(sinks, recent), None, []
    for t in range(T):
        if cut == "before":
            past = cache.evict_for_space(past, 1)
        layer.q_proj, layer.k_proj, layer.v_proj = (Handed(flat(x[:, t : t + 1])) for x in (q, k, v))
        slot = torch.tensor([[0 if past is None else past[0][0].shape[2]]])
        out, _, kept = layer_code.llama_pos_shift_attention_forward(
            layer, q[:, t : t + 1].flatten(2), None, slot, past and past[0], use_cache=True
        )
        past = cache([kept]) if cut == "after" else [kept]
        outs.append(out)
    return torch.cat(outs, dim=1).reshape(q.shape)


def cos_and_sin(length, dim, base):
    """The tables of old transformers, [1, 1, length, dim]; those of no rotation without a base."""
    slow = torch.zeros(dim // 2) if base is None else base ** (-torch.arange(0, dim, 2).double() / dim)
    angle = torch.arange(length).double()[None, None, :, None] * torch.cat([slow, slow])
    return angle.cos(), angle.sin()


def lm_infinite(q, k, v, *, starting, local, base=None):
    """Its attention matrix of two branches; with a base, scores by distances that end at `local`."""
    (code,) = borrow("LM-Infinite", "models.lambda_attention")
    pos = torch.arange(q.shape[1])
    near, far = (turned(k, pos, base), turned(q, pos, base)), (k, turned(q, 0 * pos + local, base))
    k_near, k_far, q_near, q_far, v = (x.transpose(1, 2) for x in (near[0], far[0], near[1], far[1], v))
    matrix = code.lambda_matmul(k_near, k_far, q_near, q_far, local, starting) / math.sqrt(q.shape[-1])
    return matrix.softmax().matmul(v).transpose(1, 2)


def turned(x_BNTH, pos, base):
    """Rotated in halves, as Llama does; not at all without a base."""
    if base is None:
        return x_BNTH
    half = x_BNTH.shape[-1] // 2
    angle = pos.double()[:, None, None] * base ** (-torch.arange(half).double() / half)
    a, b = x_BNTH[..., :half], x_BNTH[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


# --- transformers


def grid(T):
    return torch.arange(T)[:, None], torch.arange(T)


def sliding(q, k, v, *, window):
    return masked(q, k, v, sliding_window_causal_mask_function(window)(0, 0, *grid(q.shape[1])))[0]


def chunked(q, k, v, *, chunk, left_padding):
    mask = chunked_causal_mask_function(chunk, torch.tensor([left_padding]))
    return masked(q, k, v, mask(0, 0, *grid(q.shape[1])))[0]


# --- Focused Transformer


def cross_batch(q, k, v, *, others, pack, stepping, base):
    """Its training attention: q, k, v of contexts of their own, one a row; rotated in halves."""
    (code,) = borrow("long_llama", "FoT.cross_batch")
    B, T = q.shape[:2]
    pos = torch.arange(T)

    def as_first(xk):
        return turned_by(xk, 0 * pos)

    def turned_by(x, at):
        return jnp.asarray(turned(torch.tensor(np.asarray(x)), at, base).numpy())

    hidden = np.where(np.tri(T, dtype=bool), 0.0, -1e6)
    out = code.cross_batch_attention(
        *(jnp.asarray(x.detach().numpy()) for x in (q, k, v)), np.broadcast_to(hidden, (B, 1, T, T)), -1e6,
        others, stepping, pack, as_first, lambda xq, xk: (turned_by(xq, pos), turned_by(xk, pos)), precision="highest",
    )  # fmt: skip
    return torch.tensor(np.asarray(out))


def memory(q, k, v, *, window, last, base):
    """Its inference: the text window by window, each into the memory of the next ones, and `last` tokens at the end."""
    (code,) = borrow("long_llama", "src.modeling_longllama")
    B, T, N, H = q.shape
    config = Namespace(
        hidden_size=N * H, num_attention_heads=N, max_position_embeddings=window, rope_theta=base, rope_scaling=None,
        torch_attention=False,
    )  # fmt: skip
    layer = code.LongLlamaAttention(config, code.LongLlamaMemConfig(cache_dtype=torch.float64))
    layer.o_proj, layer.rotary_emb = nn.Identity(), layer.rotary_emb.double()
    layer.rotary_emb.inv_freq = base ** (-torch.arange(0, H, 2).double() / H)
    layer.rotary_emb._set_cos_sin_cache(T, "cpu", torch.float64)

    def model(input_ids, position_ids, mem_caches, **_):
        here = input_ids[0]
        layer.q_proj, layer.k_proj, layer.v_proj = (Handed(flat(x[:, here])) for x in (q, k, v))
        mask = code._make_causal_mask((B, len(here)), torch.float32, "cpu").double()
        past = None if mem_caches is None else mem_caches[0]
        out, _, _, kept = layer(flat(q[:, here]), mask, position_ids, mem_cache=past)
        return Namespace(
            last_hidden_state=out, mem_caches=(kept,), past_key_values=None, hidden_states=None, attentions=None
        )

    asked = dict.fromkeys(("attention_mask", "position_ids", "past_key_values", "inputs_embeds"))
    asked |= dict.fromkeys(("use_cache", "output_attentions", "output_hidden_states"), False)
    text = torch.arange(T).expand(B, T)
    out = code._handle_long_input(
        model, text, **asked, return_dict=True, context_window_length=window, last_context_length=last
    )
    return out.last_hidden_state.reshape(q.shape)
