"""The bench itself: a loaded model, and the same weights under another encoding or pattern."""

import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from ropelab.attention import patterns
from ropelab.attention.exchanges import Exchange
from ropelab.attention.patterns import Causal, Pattern
from ropelab.checkpoints.hugging_face.writing import export, extend_length
from ropelab.checkpoints.locate import open_source
from ropelab.checkpoints.peft import parse_trained_encoding, read_adapter
from ropelab.checkpoints.prompts import StreamDecoder, encode_prompt
from ropelab.checkpoints.source import assemble
from ropelab.checkpoints.tokenizer import Tokenizer
from ropelab.data.text import make_probe_tokens
from ropelab.encodings.base import Encoding
from ropelab.encodings.user_module import parse_with_import
from ropelab.evaluation.memory import check_memory
from ropelab.evaluation.receipt import PROBE_TOKENS, Receipt, receipt
from ropelab.models import generation
from ropelab.models.config import Wiring
from ropelab.models.family import Config
from ropelab.models.finite import check_finite
from ropelab.models.module import Model, Parameters, Tokens, is_ragged
from ropelab.spec import suggest_name
from ropelab.training import run_folder, state
from ropelab.training.lora import LoRA
from ropelab.training.step import cast_params

EXPORT_PROBE = 16  # tokens whose logits are computed before a model is written


@dataclasses.dataclass(frozen=True)
class Lab:
    """A model on the bench.

    Attributes:
        name: of the checkpoint.
        model: the Flax model that runs.
        original: the model as it was loaded; the same parameters.
        tokenizer: None if the checkpoint has none.
        weights: what the stored weights are, "SmolLM2-135M-Instruct, Q4_1 GGUF"; "" of a model trained from scratch.
    """

    name: str
    model: Model
    original: Model
    tokenizer: Tokenizer | None
    weights: str = ""

    def __repr__(self) -> str:
        """One line: the name, the size, and what is plugged in."""
        leaves = jax.tree.leaves(self.params)
        size = sum(leaf.size for leaf in leaves)
        units = ((1e9, "B"), (1e6, "M"), (1e3, "k"), (1, ""))
        shown = next(f"{size / unit:.3g}{sign}" for unit, sign in units if size >= unit)
        return f"Lab({self.name}, {shown} {leaves[0].dtype}, {self.encoding!r}, {self.pattern!r})"

    @property
    def full_name(self) -> str:
        """The name as protocols and receipts have it: with what the weights are, and what they are computed in."""
        dtype = jax.tree.leaves(self.params)[0].dtype
        return f"{self.name} = {self.weights}, computed in {dtype}" if self.weights else self.name

    @property
    def params(self) -> dict[str, Any]:
        """The tree of parameters."""
        return self.model.params

    @property
    def encoding(self) -> Encoding:
        """The encoding plugged in, complete: what was left out is filled in from the checkpoint."""
        return self.model.wiring.encoding

    @property
    def pattern(self) -> Pattern:
        return self.model.wiring.pattern

    @property
    def config(self) -> Config:
        return self.model.config

    def swap(
        self,
        encoding: str | Encoding | None = None,
        pattern: str | Pattern | None = None,
        kernel: str | Exchange | None = None,
    ) -> "Lab":
        """The same weights, nothing copied, with another encoding or pattern; None leaves it as it is.

        An encoding's `base`, `pairing` and `rotary_dim`, left out, are those of the checkpoint, and of a spec the
        `original_length` is its trained length: "YaRN(factor=2.0)". One that is not in
        the catalogue is named with its file, `my_encoding.py:Mine(a=1)`, which is imported.

        Raises:
            ValueError: for an unknown name or field, or a refused value.
        """
        wiring = self.model.wiring
        if isinstance(encoding, str):
            encoding = parse_encoding(encoding, self.config.trained_length)
        new = encoding or wiring.encoding
        seen = patterns.parse(pattern) if isinstance(pattern, str) else pattern or wiring.pattern
        kernel = kernel or wiring.kernel
        new = new.inherit(self.original.wiring.encoding)
        return dataclasses.replace(self, model=self.original.rewired(new, seen, kernel))

    def adapted(self, directory: str | os.PathLike[str], *, merge: bool = True) -> "Lab":
        """The model with an adapter of PEFT's, under the encoding it was trained under where the directory names one.

        Args:
            merge: add the low-rank terms to the matrices; otherwise they stay beside them.

        Raises:
            CheckpointError: for an adapter of another model, one that is not read, or one trained under an encoding
                that is not in the catalogue and not plugged in already.
        """
        adapter = read_adapter(directory, self.config)
        lora = LoRA(**vars(adapter.terms))
        params = (lora.merge if merge else lora.join)(adapter.trainable, self.params)
        original = Model(self.original.wiring, Parameters(params))
        name = f"{self.name} with {os.fspath(directory)}"
        lab = dataclasses.replace(
            self, name=name, original=original, model=Model(self.model.wiring, original.parameters)
        )
        if adapter.encoding in (None, repr(lab.encoding)):
            return lab
        return lab.swap(parse_trained_encoding(directory, adapter.encoding))

    def export(self, directory: str | os.PathLike[str], *, context_length: int | None = None) -> Path:
        """Write a directory that transformers loads, with the same logits; it appears when it is whole.

        The logits of a few tokens are computed first: a model that computes NaN is not written.

        Args:
            context_length: tokens of context that the model is meant for; if nothing is said, the trained length as
                the encoding extends it.

        Raises:
            ValueError: for an encoding or a pattern that transformers' Llama cannot say.
            NonFiniteError: if a logit is not finite; see `ropelab.allow_nonfinite`.
        """
        probe_1T = make_probe_tokens(self.tokenizer, self.config.vocabulary, PROBE_TOKENS)[:, :EXPORT_PROBE]
        check_finite(self.model, self.model.logits(probe_1T), probe_1T, "logits")
        length = context_length or extend_length(
            self.config.trained_length, self.original.wiring.encoding, self.encoding
        )
        return export(
            directory,
            self.params,
            self.config,
            self.encoding,
            self.tokenizer,
            pattern=self.pattern,
            context_length=length,
        )

    def logits(self, tokens: Tokens, *, positions: Any = None, segments: Any = None) -> Array:
        """float32[B, T, V].

        Args:
            tokens: integers [B, T].
            positions: numbers [T] or [B, T]; 0, 1, 2, ... if not given. Fractions are Position Interpolation,
                `positions / factor`; an encoding or a pattern that counts whole positions refuses them.
            segments: the number of each token's document, [T] or [B, T]; tokens see their own document only.

        Raises:
            ValueError: for tokens outside of the vocabulary, or positions or segments of another shape or range.
        """
        return self.model.logits(tokens, positions=positions, segments=segments)

    def nll(self, tokens: Tokens, *, positions: Any = None, segments: Any = None) -> Any:
        """-log p(token t+1 | tokens <= t) in nats, float32[B, T - 1]; [T, V] is never held.

        Of texts of different lengths, a list of lists: the list of float32[T_i - 1], each as if scored alone.

        Raises:
            NonFiniteError: if a loss is not finite; see `ropelab.allow_nonfinite`.
            ValueError: for tokens outside of the vocabulary, or positions or segments of texts of different lengths.
        """
        if is_ragged(tokens):
            if positions is not None or segments is not None:
                raise ValueError("texts of different lengths have no common positions or segments; leave them out")
            return self.model.nll_of_texts(list(tokens))
        return self.model.nll(tokens, positions=positions, segments=segments)

    def decode_logits(self, tokens: Tokens, *, prefill: int) -> Array:
        """As `logits`, but from the cache: `prefill` tokens at once, then one at a time."""
        return self.model.decode_logits(tokens, prefill=prefill)

    def receipt(self) -> Receipt:
        """What is applied, and the proof that it differs from the model as loaded.

        Raises:
            NothingAppliedError: if something was plugged in and no logit of the probe moves.
        """
        probe_1T = make_probe_tokens(self.tokenizer, self.config.vocabulary, PROBE_TOKENS)
        return receipt(self.model, self.original, probe_1T, name=self.full_name)

    def generate(self, prompt: str | list[str], *, max_new_tokens: int = 64, **sampling: Any) -> Any:
        """The continuation of a prompt, up to the end-of-text token; of several prompts, the list of theirs.

        Args:
            sampling: `temperature` (0, greedy), `top_p` (1), `seed` (0), `chat` (False): the prompt is a user's
                message, put into the checkpoint's chat template.

        Raises:
            ValueError: if the checkpoint has no tokenizer, or no chat template where one is asked for.
        """
        check_sampling_names(sampling)
        prompts = [prompt] if isinstance(prompt, str) else prompt
        rows = list(continuations(self, prompts, max_new_tokens, **sampling))
        texts = ["".join(row[n] for row in rows) for n in range(len(prompts))]
        return texts[0] if isinstance(prompt, str) else texts

    def stream(self, prompt: str, *, max_new_tokens: int = 64, **sampling: Any) -> Iterator[str]:
        """As `generate`, piece by piece as it is made."""
        check_sampling_names(sampling)
        return (pieces[0] for pieces in continuations(self, [prompt], max_new_tokens, **sampling))


def parse_encoding(text: str, trained_length: int) -> Encoding:
    """The encoding of a spec, its `original_length`, left out, the trained length of the checkpoint if that is known.

    Raises:
        ValueError: for what is none; a pattern that was given in its place is named as one.
    """
    if text.split("(")[0].strip() in patterns.CLASSES:
        raise ValueError(f"{text!r} is an attention pattern and no encoding; give it as pattern={text!r}")
    return parse_with_import(text, {"original_length": trained_length} if trained_length else {})


def check_sampling_names(given: Iterable[str]) -> None:
    """Raise `TypeError` for an argument that generation does not have."""
    known = ("max_new_tokens", "chat", "temperature", "top_p", "seed")
    for name in given:
        if name not in known:
            raise TypeError(
                f"generation has no argument {name!r}.{suggest_name(name, known)} It has: {', '.join(known)}"
            )


def continuations(
    lab: Lab, prompts: list[str], max_new_tokens: int, *, chat: bool = False, **sampling: Any
) -> Iterator[list[str]]:
    """The text that each step adds to each prompt."""
    if lab.tokenizer is None:
        raise ValueError(f"{lab.name} has no tokenizer; use decode_logits with token ids")
    ids = [encode_prompt(lab.tokenizer, prompt, chat) for prompt in prompts]
    slots = len(ids) * (max(map(len, ids)) + max_new_tokens)
    check_memory(lab.model.wiring, slots, generation.CHUNK, str(jax.tree.leaves(lab.params)[0].dtype))
    written = [StreamDecoder(lab.tokenizer, row) for row in ids]
    for step in generation.tokens(lab.model, ids, max_new_tokens, stop=lab.tokenizer.eos_id, **sampling):
        yield [row.add(int(token)) for row, token in zip(written, step, strict=True)]
    last = [row.flush() for row in written]
    if any(last):
        yield last


def load(source: str | os.PathLike[str], *, dtype: Any = "float32", mesh: Mesh | None = None) -> Lab:
    """A pretrained Llama on the bench, or what a training has made.

    Args:
        source: "smollm2", a Hugging Face directory or hub id, a .gguf file, or the folder of a training: its newest
            whole checkpoint, an adapter merged, under the encoding and the pattern that it was trained under last; with
            @ and a number, as runs/x@100, the one after so many steps.
        dtype: of the parameters and of the computation between the float32 parts.
        mesh: devices to shard the parameters over, with axes among "fsdp" and "tensor".

    Raises:
        CheckpointError: if there is no such checkpoint, or it cannot be read as a Llama.
        ValueError: for a dtype that no model here computes in, or a training that has saved nothing.
    """

    known = ("float32", "bfloat16", "float16", *(("float64",) if jax.config.read("jax_enable_x64") else ()))
    if getattr(dtype, "__name__", str(dtype)) not in known:
        raise ValueError(f"dtype={dtype!r} is not one of {', '.join(known)}")
    if run_folder.is_run(source):
        return of_run(source, dtype, mesh)
    opened = open_source(source)
    params = assemble(opened, dtype=jnp.dtype(dtype), mesh=mesh)
    model = Model(Wiring(opened.config, opened.encoding, Causal()), Parameters(params))
    return Lab(str(source), model, model, opened.tokenizer, opened.weights)


def of_run(folder: str | os.PathLike[str], dtype: Any, mesh: Mesh | None) -> Lab:
    """What a training has made, on the bench."""

    run = state.open_run(folder, mesh=mesh)
    params = cast_params(state.merge_params(run), dtype)
    if mesh is None:
        params = jax.device_put(params, jax.devices()[0])  # as any other checkpoint's
    model = Model(run.wiring, Parameters(params))
    weights = f"trained from {run.weights}" if run.weights else ""
    return Lab(str(folder), model, model, run.tokenizer, weights)


def tokens_of(lab: Lab, text: str) -> np.ndarray:
    """The token ids of a text, i32[T], nothing added."""
    if lab.tokenizer is None:
        raise ValueError(f"{lab.name} has no tokenizer, so it cannot read text")
    return np.asarray(lab.tokenizer.encode(text), np.int32)
