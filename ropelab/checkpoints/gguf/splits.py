"""Pre-tokenizers of GGUF files: how text is split before byte-pair merges, by the name in `tokenizer.ggml.pre`.

A pre-tokenizer is a sequence of regular expressions. Each is applied to the pieces of the previous one; its matches and
the text between them become pieces, and no merge crosses their borders. The wrong one silently gives other ids.

Source: ggml-org/llama.cpp 00ad355, src/llama-vocab.cpp. Where its regex engine needs a substitute, the expression of
the model's tokenizer.json is used. Ids then differ for combining marks (`tekken`, `gpt-4o`) and for spaces outside
ASCII next to letters (`deepseek-coder`).
"""

from typing import NamedTuple


class PreTokenizer(NamedTuple):
    """A family of pre-tokenizers.

    Attributes:
        expressions: applied in order.
        whole_words: whether a piece that is in the vocabulary is one token, regardless of the merges.
        add_bos: the default for files that do not state it.
    """

    expressions: tuple[str, ...]
    whole_words: bool = False
    add_bos: bool = False


_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}{{1,3}}|{_SIGNS}|{_SPACES}"
_QWEN2 = rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}|{_SIGNS}|{_SPACES}"
_SEED = rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}"

_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LEADING = r"[^\r\n\p{L}\p{N}]?"
_SIGNS_AND_SLASHES = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"
_TEKKEN = rf"{_LEADING}{_UPPER}*{_LOWER}+|{_LEADING}{_UPPER}+{_LOWER}*|\p{{N}}|{_SIGNS_AND_SLASHES}|{_SPACES}"
_GPT4O = (
    rf"{_LEADING}{_UPPER}*{_LOWER}+{_CONTRACTIONS}?|{_LEADING}{_UPPER}+{_LOWER}*{_CONTRACTIONS}?|"
    rf"\p{{N}}{{1,3}}|{_SIGNS_AND_SLASHES}|{_SPACES}"
)

_CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
_CHINESE_AND_KANA = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_DEEPSEEK3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"""
    rf" ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}"
)
_UNTIL_PUNCTUATION = r" ?[^(\s|.,!?…。，、।۔،)]+"

_FAMILIES = {
    ("default",): PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
    ("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "gigachat", "a.x-4.0", "mellum", "exaone4"): PreTokenizer(
        (_GPT2,)
    ),
    ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"): PreTokenizer(
        (r"\p{N}", _GPT2)
    ),
    ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"): PreTokenizer(
        (_LLAMA3,), whole_words=True, add_bos=True
    ),
    ("dbrx", "smaug-bpe", "glm4", "chatglm-bpe"): PreTokenizer((_LLAMA3,)),
    ("qwen2", "deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan"): PreTokenizer((_QWEN2,)),
    ("seed-coder",): PreTokenizer((_SEED,)),
    ("tekken",): PreTokenizer((_TEKKEN,), whole_words=True, add_bos=True),
    ("gpt-4o", "llama4", "kanana2"): PreTokenizer((_GPT4O,)),
    ("deepseek-coder",): PreTokenizer((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CJK, r"\p{N}")),
    ("deepseek-v3", "hunyuan-dense"): PreTokenizer((r"\p{N}{1,3}", _CHINESE_AND_KANA, _DEEPSEEK3)),
    ("falcon",): PreTokenizer((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]")),
    ("poro-chat", "bloom", "gpt3-finnish"): PreTokenizer((_UNTIL_PUNCTUATION,)),
    ("viking",): PreTokenizer((_UNTIL_PUNCTUATION, r"\p{N}")),
}
PRE_TOKENIZERS = {name: cut for names, cut in _FAMILIES.items() for name in names}
