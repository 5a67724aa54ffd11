"""Continue a prompt with a model whose positional encoding is swapped, as it is written.

    python -m experiments.generate --model=smollm2 --encoding="YaRN(factor=2.0, original_length=8192)" \
        --prompt="Why is the sky blue?" --chat

Prints the receipt's statement, the text as it comes, and the tokens per second after the first.
"""

import sys
import time
from collections.abc import Sequence

from absl import flags

import ropelab
from experiments import launch
from ropelab.models.sampling import check_sampling

HELP = {
    "model": "smollm2, a .gguf file, a Hugging Face directory or hub id.",
    "encoding": "Spec of the encoding; the checkpoint's own if not given.",
    "pattern": "Spec of the attention pattern.",
    "prompt": "Text to continue, or @file to read it from.",
    "chat": "The prompt is a user's message: use the chat template.",
    "max_new_tokens": "Tokens at most.",
    "temperature": "0 is greedy.",
    "top_p": "Share of the probability that is drawn from.",
    "seed": "Of the draws.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; `argv` has the program's name first."""
    values = flags.FlagValues()
    for name in ("encoding", "pattern", "prompt"):
        flags.DEFINE_string(name, None, HELP[name], flag_values=values)
    flags.DEFINE_string("model", "smollm2", HELP["model"], flag_values=values)
    flags.DEFINE_bool("chat", False, HELP["chat"], flag_values=values)
    flags.DEFINE_integer("max_new_tokens", 128, HELP["max_new_tokens"], flag_values=values)
    flags.DEFINE_float("temperature", 0.0, HELP["temperature"], flag_values=values)
    flags.DEFINE_float("top_p", 1.0, HELP["top_p"], flag_values=values)
    flags.DEFINE_integer("seed", 0, HELP["seed"], flag_values=values)
    launch.define_allow_nonfinite(values)
    return launch.answer(generate, values, argv)


def text_of(prompt: str) -> str:
    """What --prompt means: a text, or @ and the name of a file.

    Raises:
        ValueError: for a file that cannot be read.
    """
    if not prompt.startswith("@"):
        return prompt
    try:
        with open(prompt[1:], encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise ValueError(f"--prompt={prompt}: {launch.of_disk(error)}; a text that begins with @ is not read") from None
    except UnicodeDecodeError:
        raise ValueError(f"--prompt={prompt}: {prompt[1:]} is not UTF-8 text") from None


def generate(values: flags.FlagValues, words: list[str], command: str) -> int:
    launch.no_words(words, "the prompt is given as --prompt=...")
    if not values.prompt:
        raise ValueError("--prompt is missing; give a text, or @file")
    prompt = text_of(values.prompt)
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


if __name__ == "__main__":
    sys.exit(main())
