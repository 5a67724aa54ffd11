"""Our models inside lm-evaluation-harness: log-likelihoods, rolling perplexity and generation for any of its tasks.

    lm_eval.simple_evaluate(model=Harness(lab.model, lab.tokenizer), tasks=["piqa"])

A context is cut from the left to what the model may hold, and every cut is counted: `truncated`, with the number of
tokens lost. Texts go through in the batches of `likelihood`, so that a task of thousands compiles a few dozen shapes.
The prefix of an empty context, and of rolling windows, is the checkpoint's BOS where it is its policy to have one, and
otherwise its end of text, as the harness does it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

from ropelab.evaluation.answers import batch_texts, decode_continuation, score_continuations
from ropelab.models import generation
from ropelab.models.module import Model

MOST_NEW_TOKENS = 256


class Truncated(NamedTuple):
    """How many requests were longer than the model may read, and how many tokens that cost."""

    requests: int = 0
    tokens: int = 0


class Harness(TemplateLM):
    """A model for lm-evaluation-harness 0.4.

    Args:
        tokenizer: with an end of text.
        max_length: tokens that the model may read; its trained length if not given.
        add_bos: put the BOS token before every context; the checkpoint's policy if not given.

    Attributes:
        truncated: what was cut so far.

    Raises:
        ValueError: for a tokenizer without an end of text, or an add_bos without a BOS token.
    """

    def __init__(
        self, model: Model, tokenizer: Any, *, max_length: int | None = None, add_bos: bool | None = None
    ) -> None:
        super().__init__()
        if tokenizer is None or tokenizer.eos_id is None:
            raise ValueError("lm-evaluation-harness needs a tokenizer with an end of text, and this model has none")
        bos = getattr(tokenizer, "bos_id", None)
        add_bos = getattr(tokenizer, "add_bos", False) if add_bos is None else add_bos
        if add_bos and bos is None:
            raise ValueError("add_bos=True, but the tokenizer has no BOS token")
        self.model, self.speaks = model, tokenizer
        self.max_length = max_length or model.config.trained_length
        self.bos: list[int] = [bos] if add_bos and bos is not None else []
        self.truncated = Truncated()

    @property
    def eot_token_id(self) -> int:
        return self.speaks.eos_id

    @property
    def prefix_token_id(self) -> int:
        return self.bos[0] if self.bos else self.eot_token_id

    @property
    def max_gen_toks(self) -> int:
        return MOST_NEW_TOKENS

    @property
    def tokenizer_name(self) -> str:
        return "ropelab"

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """The ids of a text, BOS first unless special tokens are not wanted."""
        ids = self.speaks.encode(string)
        return ids if add_special_tokens is False else [*self.bos, *ids]

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], disable_tqdm: bool = False, **kwargs: Any
    ) -> list[tuple[float, bool]]:
        pairs = [(self.cut(before, len(after) - 1), after) for _, before, after in requests]
        texts = [[*before, *after] for before, after in pairs]
        with tqdm(total=len(texts), desc="likelihoods", disable=disable_tqdm) as bar:
            found = score_continuations(self.model, texts, [len(before) for before, _ in pairs], bar.update)
        return [(-one.nll, one.greedy) for one in found]

    def cut(self, context: list[int], behind: int) -> list[int]:
        """The end of a context that fits with `behind` tokens after it; at least its last token."""
        room = max(1, self.max_length - behind)
        lost = max(0, len(context) - room)
        if not lost:
            return context
        self.truncated = Truncated(self.truncated.requests + 1, self.truncated.tokens + lost)
        return context[lost:]

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
        """log p of whole texts, in windows of the maximal length that do not overlap."""
        windows, owners = [], []
        for number, request in enumerate(requests):
            ids = self.speaks.encode(request.args[0])
            rolled = get_rolling_token_windows(ids, self.prefix_token_id, self.max_length, 1)
            mine = [(None, *make_disjoint_window(pair)) for pair in rolled]
            windows += mine
            owners += [number] * len(mine)
        totals = [0.0] * len(requests)
        scored = self._loglikelihood_tokens(windows, disable_tqdm)
        for owner, (logprob, _) in zip(owners, scored, strict=True):
            totals[owner] += logprob
        return totals

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
        """Continuations up to a stop sequence, the end of text or a number of tokens; sampled where a task says so."""
        asked: list[tuple[str, dict[str, Any]]] = [
            (request.args[0], dict(normalize_gen_kwargs(dict(request.args[1]), self.max_gen_toks)))
            for request in requests
        ]
        found: dict[int, str] = {}
        with tqdm(total=len(asked), desc="generation", disable=disable_tqdm) as bar:
            for settings in {repr(one): one for _, one in asked}.values():
                mine = [i for i, (_, one) in enumerate(asked) if one == settings]
                prompts = [self.cut(self.tok_encode(asked[i][0]), int(settings["max_gen_toks"])) for i in mine]
                for together in batch_texts(self.model, [len(prompt) for prompt in prompts]):
                    said = self.said([prompts[i] for i in together], settings)
                    found |= {mine[i]: text for i, text in zip(together, said, strict=True)}
                    bar.update(len(together))
        return [found[i] for i in range(len(asked))]

    def said(self, prompts: list[list[int]], settings: dict[str, Any]) -> list[str]:
        """Return what the model adds to each prompt."""
        stops = handle_stop_sequences(settings.get("until"), None)
        most, temperature = int(settings["max_gen_toks"]), float(settings.get("temperature") or 0.0)
        rows: list[list[int]] = [[] for _ in prompts]
        for step in generation.tokens(
            self.model, prompts, most, stop=self.eot_token_id, temperature=temperature, top_p=settings.get("top_p", 1.0)
        ):
            for row, token in zip(rows, step, strict=True):
                if token >= 0:
                    row.append(int(token))
            texts = [decode_continuation(self.speaks, prompt, row) for prompt, row in zip(prompts, rows, strict=True)]
            if stops and all(any(stop in text for stop in stops) for text in texts):
                break
        texts = [decode_continuation(self.speaks, prompt, row) for prompt, row in zip(prompts, rows, strict=True)]
        return [postprocess_generated_text(text, stops, None) for text in texts]
