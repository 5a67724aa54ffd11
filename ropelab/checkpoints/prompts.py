"""From a user's words to the ids a model continues, and from its ids back to text as they come."""

import importlib.util
import json
import subprocess
import sys

from ropelab.checkpoints import template_process
from ropelab.checkpoints.tokenizer import Tokenizer
from ropelab.errors import CheckpointError

MAX_ADDED_CHARS = 1_000_000  # that a template may write besides twice the message
_TIMEOUT = 15  # seconds, of a machine that has other work
_INCOMPLETE = "\ufffd"  # what bytes decode to that do not end a character


def encode_prompt(tokenizer: Tokenizer, prompt: str, chat: bool = False) -> list[int]:
    """The ids of a prompt, begun as the checkpoint wants it; in its chat template if it is a message."""
    if chat:
        return tokenizer.encode(apply_chat_template(tokenizer, prompt))  # the template writes the beginning itself
    ids = tokenizer.encode(prompt)
    if tokenizer.add_bos and tokenizer.bos_id is not None:
        ids = [tokenizer.bos_id, *ids]
    return ids


def apply_chat_template(tokenizer: Tokenizer, message: str) -> str:
    """A user's message as the chat template writes it, with the beginning of the answer.

    The template is a program out of a checkpoint, so it runs in Jinja's sandbox, in a process with little time and
    memory: see `template_process`.

    Raises:
        ValueError: if the checkpoint has no chat template.
        CheckpointError: if the template cannot be rendered, or not within the limits.
    """
    if tokenizer.chat_template is None:
        raise ValueError("this checkpoint has no chat template; give the prompt as plain text")
    if importlib.util.find_spec("jinja2") is None:
        raise CheckpointError("a chat template needs the package jinja2: pip install jinja2")
    tokens = {"bos_token": tokenizer.bos_id, "eos_token": tokenizer.eos_id}
    named = {name: "" if n is None else tokenizer.core.id_to_token(n) for name, n in tokens.items()}
    given = {
        "template": tokenizer.chat_template,
        "variables": {"messages": [{"role": "user", "content": message}], "add_generation_prompt": True, **named},
        "most": MAX_ADDED_CHARS + 2 * len(message),
    }
    answer = _render(json.dumps(given))
    if "text" not in answer:
        raise CheckpointError(f"the checkpoint's chat template cannot be rendered: {answer['error']}")
    return answer["text"]


def _render(given: str) -> dict[str, str]:
    """What the process answers: a text, or an error."""
    command = [sys.executable, "-P", template_process.__file__]
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"it takes more than {_TIMEOUT} seconds"}
    if done.returncode == 0:
        return json.loads(done.stdout)
    seconds, megabytes = template_process.SECONDS, template_process.MEMORY // 2**20
    return {"error": f"it takes more than {seconds} seconds of computation, or more than {megabytes} MiB"}


class StreamDecoder:
    """The text of a continuation, given out as soon as its characters are whole.

    Ids are decoded together with the prompt's: alone, SentencePiece kinds lose the space between the two.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: list[int]) -> None:
        self.tokenizer, self.ids = tokenizer, list(prompt)
        self.known = len(tokenizer.decode(prompt))

    def add(self, token: int) -> str:
        """What the token adds to the text; nothing for -1, or in the middle of a character."""
        if token >= 0:
            self.ids.append(token)
        text = self.tokenizer.decode(self.ids)
        return "" if text.endswith(_INCOMPLETE) else self.taken(text)

    def rest(self) -> str:
        """What is still held back when nothing more comes."""
        return self.taken(self.tokenizer.decode(self.ids))

    def taken(self, text: str) -> str:
        new, self.known = text[self.known :], len(text)
        return new
