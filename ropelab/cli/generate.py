"""Continue a prompt with a model whose positional encoding is swapped, and stream the text.

    python -m experiments.generate --model=smollm2 --encoding="YaRN(factor=2.0, original_length=8192)" \
        --prompt="Why is the sky blue?" --chat

Prints the receipt's statement, the generated text, and the tokens per second without compilation.
"""

import sys
import time
from collections.abc import Sequence

from absl import flags

import ropelab
from ropelab.cli import launching
from ropelab.models.sampling import check_sampling

HELP = {
    "model": "smollm2, a .gguf file, a Hugging Face directory or hub id.",
    "encoding": "Spec of the encoding; by default the checkpoint's.",
    "pattern": "Spec of the attention pattern.",
    "prompt": "Text to continue, or @file to read it from.",
    "chat": "Use the chat template, with the prompt as the user's message.",
    "max_new_tokens": "Maximum number of generated tokens.",
    "temperature": "Sampling temperature; 0 is greedy decoding.",
    "top_p": "Probability mass to sample from (nucleus sampling).",
    "seed": "Seed of sampling.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    values = flags.FlagValues()
    for name in ("encoding", "pattern", "prompt"):
        flags.DEFINE_string(name, None, HELP[name], flag_values=values)
    flags.DEFINE_string("model", "smollm2", HELP["model"], flag_values=values)
    flags.DEFINE_bool("chat", False, HELP["chat"], flag_values=values)
    flags.DEFINE_integer("max_new_tokens", 128, HELP["max_new_tokens"], flag_values=values)
    flags.DEFINE_float("temperature", 0.0, HELP["temperature"], flag_values=values)
    flags.DEFINE_float("top_p", 1.0, HELP["top_p"], flag_values=values)
    flags.DEFINE_integer("seed", 0, HELP["seed"], flag_values=values)
    launching.define_allow_nonfinite(values)
    return launching.run_with_flags(run, values, argv)


def _read_prompt(prompt: str) -> str:
    """Return the text of --prompt, read from a file after an @.

    Raises:
        ValueError: for a file that cannot be read.
    """
    if not prompt.startswith("@"):
        return prompt
    try:
        with open(prompt[1:], encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise ValueError(
            f"--prompt={prompt}: {launching.describe_os_error(error)}; a prompt that begins with @ names a file"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"--prompt={prompt}: {prompt[1:]} is not UTF-8 text") from None


def run(values: flags.FlagValues, words: list[str], command: str) -> int:
    launching.refuse_words(words, "the prompt is given as --prompt=...")
    if not values.prompt:
        raise ValueError("--prompt is missing; give a text, or @file")
    prompt = _read_prompt(values.prompt)
    if values.max_new_tokens < 1:
        raise ValueError(f"--max_new_tokens={values.max_new_tokens} must be at least 1")
    check_sampling(values.temperature, values.top_p)
    lab = ropelab.load(values.model).swap(values.encoding, values.pattern)
    receipt = lab.receipt()
    print(f"{receipt.encoding}: {receipt.statement}\ncache: {receipt.cache}\n", file=sys.stderr)
    pieces = lab.stream(
        prompt,
        max_new_tokens=values.max_new_tokens,
        chat=values.chat,
        temperature=values.temperature,
        top_p=values.top_p,
        seed=values.seed,
    )
    times = []
    for piece in pieces:
        print(piece, end="", flush=True)
        times.append(time.perf_counter())
    print()
    if len(times) > 3:  # the first steps read the prompt and compile
        print(f"\n{(len(times) - 3) / (times[-1] - times[2]):.1f} tokens/s", file=sys.stderr)
    return 0
