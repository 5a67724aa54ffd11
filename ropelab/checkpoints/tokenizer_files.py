"""A tokenizer as the files that transformers reads: tokenizer.json, tokenizer_config.json, generation_config.json."""

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers.processors import TemplateProcessing

from ropelab.checkpoints.tokenizer import Tokenizer, begins_with

CLASS = "PreTrainedTokenizerFast"  # takes tokenizer.json as it is; a Llama's own class would rebuild its pre-tokenizer


def write_tokenizer(folder: Path, tokenizer: Tokenizer, context_length: int) -> None:
    """The files of a tokenizer; `tokenizer.from_directory` reads the same one back."""
    core = with_policy(tokenizer)
    core.save(str(folder / "tokenizer.json"))
    settings: dict[str, Any] = {
        "tokenizer_class": CLASS,
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
        "add_bos_token": tokenizer.add_bos,
    }
    for kind, number in (("bos", tokenizer.bos_id), ("eos", tokenizer.eos_id)):
        # transformers would take the letter of a plain token for a special one wherever a text has it.
        if number is None or number in tokenizer.core.get_added_tokens_decoder():
            settings[f"{kind}_token"] = token(tokenizer, number)
    if tokenizer.chat_template is not None:
        settings["chat_template"] = tokenizer.chat_template
    write_json(folder / "tokenizer_config.json", settings)
    if tokenizer.eos_id is not None:
        write_json(folder / "generation_config.json", special_ids(tokenizer))


def with_policy(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """The core, whose post-processor begins a text as the checkpoint wants it.

    A GGUF says so beside its vocabulary; transformers looks at nothing but the post-processor.
    """
    core = tokenizers.Tokenizer.from_str(tokenizer.core.to_str())
    bos_id, bos = tokenizer.bos_id, token(tokenizer, tokenizer.bos_id)
    if bos_id is None or begins_with(core, bos_id) == tokenizer.add_bos:
        return core
    core.post_processor = (  # pyright: ignore[reportAttributeAccessIssue]
        TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B:1", special_tokens=[(bos, bos_id)])
        if tokenizer.add_bos
        else None
    )
    return core


def token(tokenizer: Tokenizer, number: int | None) -> str | None:
    """The text of a special token."""
    return None if number is None else tokenizer.core.id_to_token(number)


def special_ids(tokenizer: Tokenizer | None) -> dict[str, int | None]:
    """What a configuration says of them; null where there are none, as transformers' Llama would take 1 and 2."""
    return {
        "bos_token_id": None if tokenizer is None else tokenizer.bos_id,
        "eos_token_id": None if tokenizer is None else tokenizer.eos_id,
    }


def write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
