"""Modules of the authors' repositories, and plain attention in place of the kernels they call.

What needs a GPU or a library of its time is replaced, and nothing else: flash attention by a softmax and its
log-sum-exp, the names of apex, fairscale, timm, TensorFlow and blocksparse by torch's own or by nothing.
"""

import importlib
import math
import subprocess
import sys
import types
from argparse import Namespace
from pathlib import Path

import torch
import transformers.models.llama.modeling_llama  # noqa: F401 (whole, before names that it looks for are replaced)
from torch import nn

COMMITS = {
    "torchscale": "4d1e0e82e5adf86dd424f1463192635b73fc8efc",  # microsoft/torchscale: LongNet
    "torchscale-lex": "4ad9dfd6dcd70c05dedf396868a2b4da34b4f01c",  # sunyt32/torchscale: LEX
    "LongLoRA": "d4eb344c5ccc9e91c0812a2b2aeea69070df8c33",  # dvlab-research/LongLoRA
    "sparse_attention": "c53f3bdbf6225be0582f0357072e82b13c69be7d",  # openai/sparse_attention
    "streaming-llm": "2e5042606d69933d88fbf909bd77907456b9b4dd",  # mit-han-lab/streaming-llm
    "LM-Infinite": "a0ce64c6b7ae54f6059668c899603a6eb0c94c18",  # Glaciohound/LM-Infinite
    "long_llama": "bfcb8d1dc6e2c0b744c3f8d42b9194cca99c4b55",  # CStanKonrad/long_llama
}
checkouts = Path()  # the folder that holds them, set by the script


def nothing(*args, **kwargs):
    return args[0] if args else None


STAND_INS = {
    "apex.normalization": {"FusedLayerNorm": nn.LayerNorm},
    "fairscale.nn": {"checkpoint_wrapper": nothing, "wrap": nothing},
    "timm.models.layers": {"drop_path": nothing},
    "tensorflow": {},
    "tensorflow.python.framework.function": {"Defun": nothing},
    "blocksparse": {"BlocksparseTransformer": Namespace},
    "flash_attn": {"__version__": "2.1.0"},
    "flash_attn.bert_padding": {"pad_input": nothing, "unpad_input": nothing},
    "flash_attn.flash_attn_interface": dict.fromkeys(
        ("flash_attn_func", "flash_attn_varlen_kvpacked_func", "flash_attn_varlen_qkvpacked_func"), nothing
    ),
}


def borrow(repository, *names):
    """Modules of a checkout, found in `sys.modules` under their own names only while they are imported."""
    folder = checkouts / repository
    head = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert head == COMMITS[repository], f"{folder} is at {head or 'no commit'}, not at {COMMITS[repository]}"
    held, tops = dict(sys.modules), {name.split(".")[0] for name in (*names, *STAND_INS)} | {"utils", "EasyLM"}
    for name in held:
        if name.split(".")[0] in tops:
            del sys.modules[name]
    for name, members in STAND_INS.items():
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            sys.modules.setdefault(".".join(parts[:depth]), types.ModuleType(parts[depth - 1])).__path__ = []
        vars(sys.modules[name]).update(members)
    roots = [str(folder), str(folder / "fot_continued_pretraining")]
    sys.path[:0] = roots
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.path[:] = sys.path[len(roots) :]
        for name in list(sys.modules):
            if name.split(".")[0] in tops:
                del sys.modules[name]
        sys.modules.update({name: module for name, module in held.items() if name.split(".")[0] in tops})


class Handed(nn.Module):
    """A projection that gives what it was made with, whatever it is asked."""

    def __init__(self, x):
        super().__init__()
        self.x = x

    def forward(self, _):
        return self.x.clone()


def flat(x_BTNH):
    return x_BTNH.reshape(*x_BTNH.shape[:2], -1)


def masked(q, k, v, visible):
    """Softmax attention over the pairs of bool[..., T, S], and its log-sum-exp [B, N, T]."""
    s_BNTS = torch.einsum("BTNH,BSNH->BNTS", q, k) / math.sqrt(q.shape[-1])
    s_BNTS = s_BNTS.masked_fill(~visible, -math.inf)
    out = torch.einsum("BNTS,BSNH->BTNH", s_BNTS.softmax(-1), v)
    return out, s_BNTS.logsumexp(-1)


def flash(q, k, v, dropout=0.0, bias=None, softmax_scale=None, is_causal=False):
    """As flash attention 2.1: `(out, lse)`, the last query beside the last key."""
    T, S = q.shape[1], k.shape[1]
    visible = torch.ones(T, S).tril(S - T).bool() if is_causal else torch.ones(T, S).bool()
    return masked(q, k, v, visible)
