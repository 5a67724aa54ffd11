"""How text is cut before byte-pair merges, by the name in `tokenizer.ggml.pre`.

A cut is a sequence of regular expressions, each applied to the pieces that the former left: its matches and what lies
between them become pieces, and no merge crosses their borders. The wrong cut gives other ids, and nobody notices.

Source: ggml-org/llama.cpp 00ad355, src/llama-vocab.cpp. Where its engine needs a substitute, here is the expression of
the model's own tokenizer.json. Ids then differ for combining marks (`tekken`, `gpt-4o`) and for spaces outside ASCII
next to letters (`deepseek-coder`).
"""

from typing import NamedTuple


class Cut(NamedTuple):
    """One family of pre-tokenisers.

    Attributes:
        expressions: applied in order.
        whole_words: a piece that is in the vocabulary is one token, whatever the merges say.
        add_bos: the policy of a file that does not state its own.
    """

    expressions: tuple[str, ...]
    whole_words: bool = False
    add_bos: bool = False


ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = rf"{ENDINGS}|{WORD}|\p{{N}}{{1,3}}|{SIGNS}|{SPACES}"
QWEN2 = rf"{ENDINGS}|{WORD}|\p{{N}}|{SIGNS}|{SPACES}"
SEED = rf"{ENDINGS}|{WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{SPACES}"

CAPITAL, SMALL = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
LEADING = r"[^\r\n\p{L}\p{N}]?"
SIGNS_AND_SLASHES = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"
TEKKEN = rf"{LEADING}{CAPITAL}*{SMALL}+|{LEADING}{CAPITAL}+{SMALL}*|\p{{N}}|{SIGNS_AND_SLASHES}|{SPACES}"
GPT4O = (
    rf"{LEADING}{CAPITAL}*{SMALL}+{ENDINGS}?|{LEADING}{CAPITAL}+{SMALL}*{ENDINGS}?|"
    rf"\p{{N}}{{1,3}}|{SIGNS_AND_SLASHES}|{SPACES}"
)

CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
CHINESE_AND_KANA = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
DEEPSEEK3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"""
    rf" ?[\p{{P}}\p{{S}}]+[\r\n]*|{SPACES}"
)
UNTIL_PUNCTUATION = r" ?[^(\s|.,!?…。，、।۔،)]+"

FAMILIES = {
    ("default",): Cut((r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
    ("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "gigachat", "a.x-4.0", "mellum", "exaone4"): Cut((GPT2,)),
    ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"): Cut((r"\p{N}", GPT2)),
    ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"): Cut(
        (LLAMA3,), whole_words=True, add_bos=True
    ),
    ("dbrx", "smaug-bpe", "glm4", "chatglm-bpe"): Cut((LLAMA3,)),
    ("qwen2", "deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan"): Cut((QWEN2,)),
    ("seed-coder",): Cut((SEED,)),
    ("tekken",): Cut((TEKKEN,), whole_words=True, add_bos=True),
    ("gpt-4o", "llama4", "kanana2"): Cut((GPT4O,)),
    ("deepseek-coder",): Cut((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}")),
    ("deepseek-v3", "hunyuan-dense"): Cut((r"\p{N}{1,3}", CHINESE_AND_KANA, DEEPSEEK3)),
    ("falcon",): Cut((r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]")),
    ("poro-chat", "bloom", "gpt3-finnish"): Cut((UNTIL_PUNCTUATION,)),
    ("viking",): Cut((UNTIL_PUNCTUATION, r"\p{N}")),
}
CUTS = {name: cut for names, cut in FAMILIES.items() for name in names}
