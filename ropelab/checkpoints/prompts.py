"""Prompts: encoding with chat templates, and decoding of a continuation token by token."""

import importlib.util
import json
import subprocess
import sys

from ropelab.checkpoints import template_process
from ropelab.checkpoints.tokenizer import Tokenizer
from ropelab.errors import CheckpointError

MAX_ADDED_CHARS = 1_000_000  # that a template may write in addition to twice the message
_TIMEOUT = 15  # seconds, for a busy machine
_INCOMPLETE = "\ufffd"  # the decoding of bytes that do not complete a character


def encode_prompt(tokenizer: Tokenizer, prompt: str, chat: bool = False) -> list[int]:
    """Encode a prompt with the checkpoint's bos token, or with its chat template if `chat`."""
    if chat:
        return tokenizer.encode(apply_chat_template(tokenizer, prompt))  # the template includes the bos token
    ids = tokenizer.encode(prompt)
    if tokenizer.add_bos and tokenizer.bos_id is not None:
        ids = [tokenizer.bos_id, *ids]
    return ids


def apply_chat_template(tokenizer: Tokenizer, message: str) -> str:
    """Render a user's message with the chat template, including the start of the answer.

    A template is a program from a checkpoint, so it runs in Jinja's sandbox and in a separate process with limits on
    time and memory, see `template_process`.

    Raises:
        ValueError: if the checkpoint has no chat template.
        CheckpointError: if the template cannot be rendered within the limits.
    """
    if tokenizer.chat_template is None:
        raise ValueError("this checkpoint has no chat template; pass the prompt as plain text")
    if importlib.util.find_spec("jinja2") is None:
        raise CheckpointError("a chat template needs the package jinja2: pip install jinja2")
    tokens = {"bos_token": tokenizer.bos_id, "eos_token": tokenizer.eos_id}
    special = {name: "" if n is None else tokenizer.core.id_to_token(n) for name, n in tokens.items()}
    request = {
        "template": tokenizer.chat_template,
        "variables": {"messages": [{"role": "user", "content": message}], "add_generation_prompt": True, **special},
        "most": MAX_ADDED_CHARS + 2 * len(message),
    }
    answer = _render(json.dumps(request))
    if "text" not in answer:
        raise CheckpointError(f"the checkpoint's chat template cannot be rendered: {answer['error']}")
    return answer["text"]


def _render(request: str) -> dict[str, str]:
    """Run the process and return its answer, a text or an error."""
    command = [sys.executable, "-P", template_process.__file__]
    try:
        done = subprocess.run(command, input=request, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"it takes more than {_TIMEOUT} seconds"}
    if done.returncode == 0:
        return json.loads(done.stdout)
    seconds, megabytes = template_process.SECONDS, template_process.MEMORY // 2**20
    return {"error": f"it takes more than {seconds} seconds of computation, or more than {megabytes} MiB"}


class StreamDecoder:
    """Decodes a continuation token by token, and returns text as soon as its characters are complete.

    Ids are decoded together with the prompt: SentencePiece tokenizers would otherwise lose the space between the two.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: list[int]) -> None:
        self.tokenizer, self.ids = tokenizer, list(prompt)
        self.known = len(tokenizer.decode(prompt))

    def add(self, token: int) -> str:
        """Return the text that a token adds; empty for -1 and within a character."""
        if token >= 0:
            self.ids.append(token)
        text = self.tokenizer.decode(self.ids)
        return "" if text.endswith(_INCOMPLETE) else self._advance(text)

    def flush(self) -> str:
        """Return the remaining text at the end of the continuation."""
        return self._advance(self.tokenizer.decode(self.ids))

    def _advance(self, text: str) -> str:
        """Return the new part of the decoded text."""
        new, self.known = text[self.known :], len(text)
        return new
