"""From a user's words to the ids a model continues, and from its ids back to text as they come."""

from ropelab.checkpoints.errors import CheckpointError
from ropelab.checkpoints.tokenizer import Tokenizer

UNFINISHED = "\ufffd"  # what bytes decode to that do not end a character


def prompt_ids(tokenizer: Tokenizer, prompt: str, chat: bool = False) -> list[int]:
    """The ids of a prompt, begun as the checkpoint wants it; in its chat template if it is a message."""
    if chat:
        return tokenizer.encode(in_template(tokenizer, prompt))  # the template writes the beginning itself
    ids = tokenizer.encode(prompt)
    if tokenizer.add_bos and tokenizer.bos_id is not None:
        ids = [tokenizer.bos_id, *ids]
    return ids


def in_template(tokenizer: Tokenizer, message: str) -> str:
    """A user's message as the chat template writes it, with the beginning of the answer.

    The template is a program out of a checkpoint, so it runs in Jinja's sandbox.

    Raises:
        ValueError: if the checkpoint has no chat template.
        CheckpointError: if the template cannot be rendered.
    """
    if tokenizer.chat_template is None:
        raise ValueError("this checkpoint has no chat template; give the prompt as plain text")
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    tokens = {"bos_token": tokenizer.bos_id, "eos_token": tokenizer.eos_id}
    named = {name: "" if n is None else tokenizer.core.id_to_token(n) for name, n in tokens.items()}
    try:
        template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(
            tokenizer.chat_template
        )
        return template.render(messages=[{"role": "user", "content": message}], add_generation_prompt=True, **named)
    except jinja2.TemplateError as error:
        raise CheckpointError(f"the checkpoint's chat template cannot be rendered: {error}") from None


class Written:
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
        return "" if text.endswith(UNFINISHED) else self.taken(text)

    def rest(self) -> str:
        """What is still held back when nothing more comes."""
        return self.taken(self.tokenizer.decode(self.ids))

    def taken(self, text: str) -> str:
        new, self.known = text[self.known :], len(text)
        return new
