"""Freeze what the authors' own programs measure, on numbers small enough for a file.

Sources, torch 2.15.0 and transformers 5.23.0: rope-profiler 0.1.0 (PyPI) for the two scores of a head; jquesnelle/yarn
995db5b, eval/perplexity.py, for sliding windows; PKU-ML/LongPPL 1decd2a for key tokens; NVIDIA/RULER c3f5e3b for its
score. The model of windows and key tokens is the first of `llama.npz`, and so are the tokens.

    pip install torch==2.15.0 transformers==5.23.0 numpy && pip install --no-deps rope-profiler==0.1.0
    python tools/golden/make_measures.py CHECKOUTS      # seconds; CHECKOUTS holds yarn, LongPPL and RULER
"""

import importlib.util
import json
import sys
import types
from argparse import Namespace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import transformers
from rope_profiler.scores import score_activations

OUTPUT = Path(__file__).parents[2] / "tests" / "golden" / "measures.npz"
HEADS, KEY_HEADS, HEAD_DIM, QUERIES, KEYS, WINDOW = 4, 2, 16, 5, 6, 200
HEAD_CASES = [
    {"layout": "split_half", "rotary_dim": 16, "base": 100.0, "rope_scale": 1.0},
    {"layout": "interleaved", "rotary_dim": 16, "base": 1e4, "rope_scale": 1.0},
    {"layout": "split_half", "rotary_dim": 8, "base": 1e4, "rope_scale": 1.0},
    {"layout": "split_half", "rotary_dim": 16, "base": 1e4, "rope_scale": 1.13},
]


BOS = 1
WINDOW_CASES = [
    {"bos": False, "length": 16, "stride": 6},
    {"bos": False, "length": 32, "stride": 32},
    {"bos": False, "length": 80, "stride": 80},
    {"bos": True, "length": 17, "stride": 5},
    {"bos": True, "length": 33, "stride": 32},
]
KEY_CASES = [
    {"short": 16, "step": 8, "alpha": 0.05, "beta": -5.0},
    {"short": 24, "step": 9, "alpha": 0.01, "beta": -4.5},
    {"short": 64, "step": 32, "alpha": -0.1, "beta": -9.0},
]
RULER_CASES = [
    {"said": " 1234567.", "wanted": ["1234567"]},
    {"said": "It is ABCDE and FGHIJ", "wanted": ["abcde", "FGHIJ", "KLMNO"]},
    {"said": "", "wanted": ["7"]},
    {"said": "1. cat 2. category 3. dog", "wanted": ["cat", "dog", "bird", "category"]},
]


def head_scores(rng):
    """Every query with its own keys: pairs (i, i S + s), triplets of neighbours."""
    q = rng.normal(size=(QUERIES, HEADS, HEAD_DIM)).astype(np.float32)
    k = rng.normal(size=(QUERIES, KEYS, KEY_HEADS, HEAD_DIM)).astype(np.float32)
    flat = np.moveaxis(k.reshape(QUERIES * KEYS, KEY_HEADS, HEAD_DIM), 0, 1)
    pairs = [(i, i * KEYS + s) for i in range(QUERIES) for s in range(KEYS)]
    triplets = [(i, i * KEYS + s, i * KEYS + s + 1) for i in range(QUERIES) for s in range(0, KEYS, 2)]
    found = {"head_scores/q": q, "head_scores/k": k, "head_scores/window": np.array(WINDOW)}
    for n, case in enumerate(HEAD_CASES):
        omega = case["base"] ** (-np.arange(0, case["rotary_dim"], 2) / case["rotary_dim"])
        result = score_activations(
            torch.from_numpy(np.moveaxis(q, 1, 0).copy()),
            torch.from_numpy(flat.copy()),
            [h // (HEADS // KEY_HEADS) for h in range(HEADS)],
            pairs,
            triplets,
            omega.tolist(),
            WINDOW,
            layout=case["layout"],
            rotary_dim=case["rotary_dim"],
            rope_scale=case["rope_scale"],
            distance_samples=None,
        )
        found[f"head_scores/{n}/semantic"] = result.semantic_by_head.numpy()
        found[f"head_scores/{n}/positional"] = result.positional_by_head.numpy()
    found["head_scores/cases"] = np.array([json.dumps(case) for case in HEAD_CASES])
    return found


def tiny():
    """The first model of `llama.npz`, and its longer text."""
    llama = dict(np.load(OUTPUT.with_name("llama.npz")))
    settings = json.loads(llama["variants"][0])["config_v5"]
    config = transformers.LlamaConfig(**settings, attn_implementation="eager")
    model = transformers.LlamaForCausalLM(config).eval()
    state = {name[8:]: torch.from_numpy(w) for name, w in llama.items() if name.startswith("weights/")}
    model.load_state_dict({"lm_head.weight": state["model.embed_tokens.weight"]} | state)
    return model, llama["tokens/long"][0]


def borrowed(path):
    """A file of a checkout as a module; what it imports and is not needed is empty."""
    for name in ("datasets", "model_loader"):
        sys.modules.setdefault(name, types.ModuleType(name))
    spec = importlib.util.spec_from_file_location("borrowed", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def windows(checkouts, model, tokens):
    """jquesnelle/yarn's perplexity, exp of the mean of each window's mean."""
    yarn = borrowed(checkouts / "yarn" / "eval" / "perplexity.py")
    texts = {"input_ids": [tokens.tolist()], "attention_mask": [[1] * len(tokens)]}
    tokenizer = Namespace(bos_token="<s>", bos_token_id=BOS)
    found = [
        yarn.compute_perplexity(
            texts, model, tokenizer, case["bos"], "cpu", case["length"], case["stride"], hide_progress=True
        )["mean_perplexity"]
        for case in WINDOW_CASES
    ]
    return {"windows/cases": np.array([json.dumps(case) for case in WINDOW_CASES]), "windows/perplexity": found}


def key_tokens(checkouts, model, tokens):
    """The authors' key tokens of each case, as the numbers of tokens: every token is a text of one character."""
    authors = borrowed(checkouts / "LongPPL" / "longppl" / "longppl.py")
    found = {"key_tokens/cases": np.array([json.dumps(case) for case in KEY_CASES])}
    for n, case in enumerate(KEY_CASES):
        offsets = torch.tensor([[[i, i + 1] for i in range(len(tokens))]])
        read = {"input_ids": torch.tensor(tokens)[None].long(), "offset_mapping": offsets}
        spans = authors.find_key_token(
            "", model, lambda *_, read=read, **__: read, case["short"], case["step"], None, case["alpha"], case["beta"]
        )
        found[f"key_tokens/{n}"] = np.array([t for first, last in spans.tolist() for t in range(first, last)], int)
    return found


def ruler(checkouts):
    """RULER's score, in percent."""
    authors = borrowed(checkouts / "RULER" / "scripts" / "eval" / "synthetic" / "constants.py")
    scores = [authors.string_match_all([case["said"]], [case["wanted"]]) for case in RULER_CASES]
    return {"ruler/cases": np.array([json.dumps(case) for case in RULER_CASES]), "ruler/score": np.array(scores)}


def main():
    checkouts = Path(sys.argv[1])
    model, tokens = tiny()
    found = head_scores(np.random.default_rng(0))
    found |= windows(checkouts, model, tokens) | key_tokens(checkouts, model, tokens) | ruler(checkouts)
    found["source"] = np.array(
        json.dumps({name: version(name) for name in ("torch", "transformers", "rope-profiler", "numpy")})
    )
    np.savez_compressed(OUTPUT, **found)


if __name__ == "__main__":
    main()
