"""What is exported is what transformers has loaded, loads here as the same model, or is refused."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import ropelab
from ropelab.attention.patterns import Causal
from ropelab.checkpoints import CheckpointError
from ropelab.checkpoints.hugging_face.writing import export, extend_length
from ropelab.checkpoints.tokenizer import Tokenizer
from ropelab.encodings import PI, RoPE, parse
from ropelab.models.longnet import LongNetConfig
from ropelab.models.module import from_scratch
from tests.checkpoints.frozen_export import EXPORTS, GOLDEN
from tests.errors import names
from tests.models import tiny

YARN = "YaRN(factor=4.0, original_length=32)"


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", EXPORTS)
def test_what_is_written_is_what_transformers_has_loaded(name: str, tmp_path: Path) -> None:
    """Byte for byte, so the frozen logits are those of transformers on what is written today."""
    variant, encoding = EXPORTS[name]
    lab = tiny.lab(variant).swap(encoding)
    length = extend_length(lab.config.trained_length, lab.original.wiring.encoding, lab.encoding)
    folder = export(
        tmp_path / "model", lab.params, lab.config, lab.encoding, lab.tokenizer, context_length=length, version=5
    )
    assert written(folder) == {"config.json", "model.safetensors"}
    frozen = str(GOLDEN[f"exports/{name}/config"])
    assert (folder / "config.json").read_text() == frozen
    both = json.loads((lab.export(tmp_path / "both") / "config.json").read_text())  # transformers 4 reads this too
    assert both["rope_theta"] == both["rope_parameters"]["rope_theta"]
    assert {key: value for key, value in both.items() if key not in ("rope_theta", "rope_scaling")} == json.loads(
        frozen
    )
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert digest == str(GOLDEN[f"exports/{name}/sha256"])
    theirs = GOLDEN[f"exports/{name}/logits"]
    np.testing.assert_allclose(lab.logits(tiny.LONG)[:, -20:], theirs, atol=5e-5)


@pytest.mark.parametrize("encoding", [None, YARN, "NTK(alpha=2.0)"])
def test_a_round_trip_is_the_same_model_bit_for_bit(encoding: str | None, tmp_path: Path) -> None:
    lab = tiny.lab("biased", tokenizer=True).swap(encoding)
    first = ropelab.load(lab.export(tmp_path / "first"))
    np.testing.assert_array_equal(first.logits(tiny.LONG), lab.logits(tiny.LONG))
    assert first.config.trained_length == {None: 32, YARN: 128}.get(encoding, 64)
    if encoding != "NTK(alpha=2.0)":  # a larger base to transformers
        assert first.encoding == lab.encoding
    second = ropelab.load(first.export(tmp_path / "second"))
    assert (second.encoding, second.config) == (first.encoding, first.config)
    for name in written(tmp_path / "first"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_parameters_keep_their_type_and_transformers_4_its_words(tmp_path: Path) -> None:
    lab = ropelab.load(tiny.write(tmp_path / "source"), dtype="bfloat16").swap(YARN)
    export(tmp_path / "model", lab.params, lab.config, lab.encoding, context_length=128, version=4)
    settings = json.loads((tmp_path / "model" / "config.json").read_text())
    assert settings["dtype"] == "bfloat16"
    assert settings["rope_scaling"]["rope_type"] == "yarn"
    with safe_open(tmp_path / "model" / "model.safetensors", framework="np") as file:
        assert file.metadata() == {"format": "pt"}
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"BF16"}  # noqa: SIM118
    again = ropelab.load(tmp_path / "model", dtype="bfloat16")
    np.testing.assert_array_equal(np.asarray(again.params["layers"]["o"]), np.asarray(lab.params["layers"]["o"]))
    assert again.encoding == lab.encoding


@pytest.mark.parametrize("add_bos", [True, False])
def test_a_tokenizer_is_read_back_as_it_was(add_bos: bool, tmp_path: Path) -> None:
    lab = tiny.lab(tokenizer=True)
    assert lab.tokenizer is not None
    told = dataclasses.replace(
        lab.tokenizer, bos_id=96, eos_id=96, add_bos=add_bos, chat_template="{{ messages[0].content }}"
    )
    dataclasses.replace(lab, tokenizer=told).export(tmp_path / "model")
    again = ropelab.load(tmp_path / "model").tokenizer
    assert isinstance(again, Tokenizer)
    for field in ("bos_id", "eos_id", "add_bos", "chat_template"):
        assert getattr(again, field) == getattr(told, field)
    assert again.encode("def f(x): <end>") == told.encode("def f(x): <end>")
    assert again.core.encode("a").ids == ([96] if add_bos else []) + told.encode("a")
    assert json.loads((tmp_path / "model" / "generation_config.json").read_text())["eos_token_id"] == 96


@pytest.mark.parametrize(
    ("was", "now", "length"),
    [
        ("RoPE(base=1e4)", "RoPE(base=1e4)", 32),
        ("RoPE(base=1e4)", "PI(factor=4.0)", 128),
        ("RoPE(base=1e4)", "NTK(alpha=2.0)", 64),
        ("RoPE(base=1e4)", YARN, 128),
        ("RoPE(base=1e4)", "DynamicNTK(factor=2.0, original_length=32)", 32),
        ("PI(factor=4.0)", "PI(factor=4.0)", 32),
        ("PI(factor=4.0)", "PI(factor=8.0)", 64),
        ("PI(factor=4.0)", "RoPE(base=1e4)", 8),
    ],
)
def test_an_extended_context_is_declared(was: str, now: str, length: int) -> None:
    assert extend_length(32, parse(was), parse(now)) == length


@pytest.mark.parametrize(
    ("encoding", "pattern", "message"),
    [
        ("ALiBi()", "Causal()", "ALiBi"),
        ("XPos()", "Causal()", "XPos"),
        ("T5Bias()", "Causal()", "T5Bias"),
        ("RoPE(pairing='interleaved')", "Causal()", "interleaved"),
        ("RoPE(rotary_dim=8)", "Causal()", "rotary_dim=8"),
        ("Layers((RoPE(), NoPE()))", "Causal()", "Layers"),
        ("RoPE()", "ShiftedSparse(group=8)", names("ShiftedSparse", "Causal()")),
        ("RoPE()", "SlidingWindow(window=4)", "SlidingWindow"),
    ],
)
def test_what_transformers_cannot_say_is_refused_before_anything_is_written(
    encoding: str, pattern: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        tiny.lab().swap(encoding, pattern).export(tmp_path / "model")
    assert not written(tmp_path)


def test_other_families_and_unknown_lengths_are_refused(tmp_path: Path) -> None:
    config = LongNetConfig(
        vocabulary=11, width=8, layers=1, heads=2, head_dim=4, feed_forward=12, norm_eps=1e-5, trained_length=32
    )
    longnet = from_scratch(config, RoPE(base=1e4), Causal(), seed=0)
    with pytest.raises(CheckpointError, match="LongNet"):
        export(tmp_path / "model", longnet.params, config, RoPE(base=1e4))
    lab = tiny.lab()
    unknown = dataclasses.replace(lab.config, trained_length=0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(CheckpointError, match="context_length="):
        export(tmp_path / "model", lab.params, unknown, lab.encoding)
    wider = dataclasses.replace(lab.config, feed_forward=100)  # pyright: ignore[reportArgumentType]
    with pytest.raises(CheckpointError, match=names("layers/down", "(2, 96, 64)", "(2, 100")):
        export(tmp_path / "model", lab.params, wider, lab.encoding)
    assert not written(tmp_path)


def test_a_directory_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    tiny.lab().export(tmp_path / "model")  # an empty one is as good as none
    before = (tmp_path / "model" / "config.json").read_bytes()
    with pytest.raises(CheckpointError, match=names(tmp_path / "model")):
        tiny.lab().swap(PI(factor=2.0)).export(tmp_path / "model")
    assert (tmp_path / "model" / "config.json").read_bytes() == before


def test_a_directory_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted after the weights, there is neither the directory nor anything beside it."""

    def interrupted(*_: object) -> None:
        assert any(path.name.startswith(".model.") for path in tmp_path.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr("ropelab.checkpoints.hugging_face.writing.write_json", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tiny.lab().export(tmp_path / "model")
    assert not written(tmp_path)
