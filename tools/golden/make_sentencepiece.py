"""Freeze three small SentencePiece vocabularies and the ids that sentencepiece gives a set of texts.

Source: sentencepiece 0.2.3, BPE, trained on the sentences below with Llama's settings (identity normalisation, digits
apart, pieces of spaces, a space before the text, unknown characters spelt in bytes); one variant without that space,
one without bytes, so that what is unknown becomes <unk>. The texts end with random strings over few letters, where
many merges compete.

    python tools/golden/make_sentencepiece.py      # 2 s

Writes tests/golden/sentencepiece.npz.
"""

import io
import json
import random
from pathlib import Path

import numpy as np
import sentencepiece

OUTPUT = Path(__file__).parents[2] / "tests" / "golden" / "sentencepiece.npz"
SETTINGS = {
    "model_type": "bpe",
    "vocab_size": 640,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "allow_whitespace_only_pieces": True,
    "split_digits": True,
    "byte_fallback": True,
    "add_dummy_prefix": True,
    "num_threads": 1,
    "minloglevel": 2,
}
VARIANTS = {
    "llama": {},
    "no_prefix": {"add_dummy_prefix": False},
    "no_bytes": {"byte_fallback": False, "vocab_size": 384},
}
SENTENCES = [
    "The query and the key are turned by an angle that grows with their position in the sequence.",
    "A score then depends on the distance between the two tokens and on nothing else.",
    "When the context grows beyond the trained length, the slow pairs reach angles never seen in training.",
    "Interpolation divides all positions by the same factor, so that no angle is new to the model.",
    "for i in range(10):\n    total = total + weights[i] * values[i]\n    print(i, total)\n",
    "def rotate(x, a):\n    return [x[0] * cos(a) - x[1] * sin(a), x[1] * cos(a) + x[0] * sin(a)]\n",
    "In 1998 there were 365 days, 8760 hours and 525600 minutes; 2024 had 366 days.",
    "What is the pass key? The pass key is 71432. Remember it. 71432 is the pass key.",
    "aaaa aaa aa a  bb bbb bbbb   abab baba abba    aabb bbaa",
    "banana bandana ananas cabana, abracadabra; mississippi!",
    "Der Kontext wächst, die Länge auch; où est la clé, señor?",
    "It isn't what they've said, it's what we'll do. (Perhaps.) \"Quoted\" 'words' & signs: a+b=c, x<y>z.",
]
TEXTS = [
    "The key is 71432.",
    "Hello world",
    "  two leading spaces and trailing  ",
    " one leading space",
    "a  b   c    d     e      f",
    "line one\nline two\n\n\tindented",
    "12345 3.14159 1,000",
    "The context wächst où señor ça naïve",
    "日本語 and emoji 🤖 and ∑",
    "日本語日本語🤖🤖",
    "for j in range(20):\n        weights[j] = angle(j) ** 2\n",
    "bananananana abababab aaaaaaaaaaaaa",
    "x",
    " ",
    "",
]


def random_texts(count):
    rng = random.Random(0)
    return [
        "".join(rng.choices(rng.choice(["ab ", "a b", "an b", "the ", "is m"]), k=rng.randint(1, 40)))
        for _ in range(count)
    ]


def train(**overrides):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 4), model_writer=model, **(SETTINGS | overrides)
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def token_type(model, i):
    """llama.cpp's numbers: 1 normal, 2 unknown, 3 control, 6 byte."""
    return 2 if model.is_unknown(i) else 3 if model.is_control(i) else 6 if model.is_byte(i) else 1


def main():
    cases = []
    texts = TEXTS + random_texts(150)
    for name, overrides in VARIANTS.items():
        model = train(**overrides)
        ids = range(len(model))
        cases.append(
            {
                "name": name,
                "add_space_prefix": overrides.get("add_dummy_prefix", True),
                "tokens": [model.id_to_piece(i) for i in ids],
                "scores": [model.get_score(i) for i in ids],
                "types": [token_type(model, i) for i in ids],
                "texts": texts,
                "ids": model.encode(texts),
                "decoded": [model.decode(i) for i in model.encode(texts)],
            }
        )
    np.savez_compressed(
        OUTPUT,
        cases=np.array([json.dumps(case, ensure_ascii=False) for case in cases]),
        source=np.array(json.dumps({"sentencepiece": sentencepiece.__version__})),
    )
    print(f"{len(cases)} vocabularies, {len(texts)} texts; {OUTPUT.name}: {OUTPUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
