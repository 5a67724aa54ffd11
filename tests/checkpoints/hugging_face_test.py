"""A Hugging Face directory is read whole and exactly, or refused with the file and the tensor named."""

import weakref
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import ropelab
from ropelab.checkpoints import CheckpointError
from ropelab.checkpoints.hugging_face.reading import HuggingFaceDirectory
from tests.errors import names
from tests.models import tiny

WEIGHTS = "model.safetensors"
Q0 = "model.layers.0.self_attn.q_proj.weight"


def refused(folder: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        ropelab.load(folder)
    assert "\n" not in str(caught.value)


def test_one_file_or_several_are_the_same_model(tmp_path: Path) -> None:
    whole = tiny.lab().params
    split = ropelab.load(tiny.write(tmp_path, files=3)).params
    for name, leaf in split["layers"].items():
        np.testing.assert_array_equal(leaf, whole["layers"][name])
    np.testing.assert_array_equal(split["embedding"], whole["embedding"])


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float64])
def test_weights_of_any_float_type_are_read(dtype: type, tmp_path: Path) -> None:
    """The frozen weights are bfloat16 values, so none of these types loses anything."""
    weights = {name: w.astype(dtype) for name, w in tiny.tensors().items()}
    loaded = ropelab.load(tiny.write(tmp_path, weights=weights)).params
    assert loaded["layers"]["q"].dtype == np.float32
    np.testing.assert_allclose(loaded["layers"]["q"], tiny.lab().params["layers"]["q"], rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.int32, np.bool_, ml_dtypes.float8_e4m3fn])
def test_weights_that_would_need_a_scale_are_refused(dtype: type, tmp_path: Path) -> None:
    weights = tiny.tensors() | {Q0: tiny.tensors()[Q0].astype(dtype)}
    refused(tiny.write(tmp_path, weights=weights), f"{WEIGHTS}: .*{Q0}")


def test_numbers_go_straight_into_the_wanted_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tensor is read once and let go of before the next: beside the model, one layer of one parameter is held."""
    read: dict[str, weakref.ref] = {}
    tensor = HuggingFaceDirectory.tensor

    def counted(self: HuggingFaceDirectory, name: str) -> np.ndarray:
        assert name not in read
        assert sum(earlier() is not None for earlier in read.values()) <= 1
        values = tensor(self, name)
        read[name] = weakref.ref(values)
        return values

    monkeypatch.setattr(HuggingFaceDirectory, "tensor", counted)
    lab = ropelab.load(tiny.write(tmp_path), dtype="bfloat16")
    assert set(read) == set(tiny.tensors())
    assert {leaf.dtype.name for leaf in (lab.params["embedding"], *lab.params["layers"].values())} == {"bfloat16"}


@pytest.mark.parametrize("dtype", ["float31", "int8", "float64", None])
def test_a_type_that_no_model_computes_in_is_refused(dtype: str | None, tmp_path: Path) -> None:
    """Without 64-bit jax, float64 would silently become float32."""
    with pytest.raises(ValueError, match=names(f"dtype={dtype!r}", "float32", "bfloat16", "float16")):
        ropelab.load(tiny.write(tmp_path), dtype=dtype)


def test_buffers_of_old_checkpoints_and_the_copy_of_a_tied_head_are_ignored(tmp_path: Path) -> None:
    extra = {"lm_head.weight": tiny.tensors()["model.embed_tokens.weight"]}
    extra |= {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": np.ones(8, np.float32) for i in (0, 1)}
    loaded = ropelab.load(tiny.write(tmp_path, weights=tiny.tensors() | extra))
    assert "head" not in loaded.params


def without(name: str) -> tiny.Tensors:
    return {key: value for key, value in tiny.tensors().items() if key != name}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (without(Q0), Q0),
        (tiny.tensors() | {Q0: np.ones((32, 64), np.float32)}, names(Q0, "(32, 64)", "(64, 64)")),
        (
            tiny.tensors() | {"model.layers.2.mlp.up_proj.weight": np.ones((96, 64), np.float32)},
            "model.layers.2.mlp.up_proj.weight",
        ),
        (tiny.tensors() | tiny.group("biased"), "bias"),
    ],
    ids=["missing", "wrong shape", "a third layer", "biases not declared"],
)
def test_tensors_that_do_not_fit_are_named(weights: tiny.Tensors, message: str, tmp_path: Path) -> None:
    refused(tiny.write(tmp_path, weights=weights), message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mistral"}, names("'mistral'", "llama")),
        ({"model_type": ...}, "model_type"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised"),
        ({"hidden_act": "gelu"}, names("hidden_act", "'gelu'")),
        ({"hidden_size": ...}, "hidden_size"),
        ({"num_attention_heads": 0, "head_dim": ...}, "config.json"),
        ({"num_key_value_heads": 3}, "heads=3"),
        ({"vocab_size": "97"}, "='97'"),
        ({"rms_norm_eps": -1e-5}, "norm_eps"),
        ({"max_position_embeddings": -1}, "trained_length=-1"),
        ({"num_hidden_layers": 10**9}, "1000000000"),
        ({"head_dim": 15}, "q_proj"),
    ],
)
def test_a_configuration_that_is_no_llama_is_refused(changes: dict, message: str, tmp_path: Path) -> None:
    refused(tiny.write(tmp_path, settings=tiny.config(**changes)), message)


def test_without_a_tokenizer_there_is_none_and_generation_says_so(tmp_path: Path) -> None:
    lab = ropelab.load(tiny.write(tmp_path))
    assert lab.tokenizer is None
    with pytest.raises(ValueError, match="tokenizer"):
        lab.generate("Once")


@pytest.mark.parametrize("source", ["/no/such/directory", "no such model", "missing.gguf"])
def test_what_is_no_checkpoint_is_named(source: str) -> None:
    with pytest.raises(CheckpointError, match=source):
        ropelab.load(source)


def test_a_file_that_is_no_checkpoint_says_what_is_read(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path)
    refused(folder / WEIGHTS, "give that, a Hugging Face directory or a hub id")
