"""PEFT's own adapters give PEFT's logits here, ours are read back as they were, and what is not one is refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import ropelab
from ropelab.checkpoints import CheckpointError
from ropelab.checkpoints.peft import read_adapter, save_adapter
from ropelab.models.longnet import LongNetConfig
from ropelab.training.lora import LoRA
from tests.checkpoints.frozen_export import ADAPTERS, EXPORTS, GOLDEN
from tests.errors import names
from tests.models import tiny
from tests.training.moving import moved

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
LAYER = "base_model.model.model.layers.1"
HEAD = "base_model.model.lm_head.weight"
YARN = EXPORTS["yarn"][1]


def by_peft(folder: Path, name: str, **changes: Any) -> Path:
    """An adapter as PEFT saved it, with changes to its settings; `...` takes a key out."""
    folder.mkdir()
    settings = json.loads(str(GOLDEN[f"adapters/{name}/config"])) | changes
    (folder / CONFIG).write_text(json.dumps({key: value for key, value in settings.items() if value is not ...}))
    (folder / WEIGHTS).write_bytes(GOLDEN[f"adapters/{name}/weights"].tobytes())
    return folder


def changed(folder: Path, changes: Mapping[str, np.ndarray | None]) -> Path:
    """Other tensors in the place of those of these names; None takes one out."""
    tensors = load_file(folder / WEIGHTS) | changes
    save_file({name: x for name, x in tensors.items() if x is not None}, folder / WEIGHTS)
    return folder


def base_of(name: str) -> ropelab.Lab:
    variant, encoding = EXPORTS[ADAPTERS[name]]
    return tiny.lab(variant).swap(encoding)


@pytest.mark.parametrize("name", ADAPTERS)
def test_peft_s_adapters_give_peft_s_logits(name: str, tmp_path: Path) -> None:
    """Merged, and for one of them apart too: every projection, a rank's root, whole tables, norms and heads."""
    lab, folder, theirs = base_of(name), by_peft(tmp_path / "adapter", name), GOLDEN[f"adapters/{name}/logits"]
    assert np.abs(lab.logits(tiny.LONG)[:, -20:] - theirs).max() > 1
    np.testing.assert_allclose(lab.adapted(folder).logits(tiny.LONG)[:, -20:], theirs, atol=1e-4)
    if name == "stabilised":
        np.testing.assert_allclose(lab.adapted(folder, merge=False).logits(tiny.LONG)[:, -20:], theirs, atol=1e-4)


def test_what_peft_s_settings_and_tensors_say(tmp_path: Path) -> None:
    terms = {n: read_adapter(by_peft(tmp_path / n, n), base_of(n).config).terms for n in ADAPTERS}
    assert vars(terms["lora"]) == vars(LoRA(rank=4, alpha=8.0, targets=("q", "v")))
    assert vars(terms["longlora"]) == vars(LoRA(rank=4, alpha=8.0, also=("embedding", "norms")))
    assert terms["with_head"].also == ("embedding", "norms", "head")
    assert terms["stabilised"].targets == ("q", "k", "v", "o", "gate", "up", "down")
    assert terms["stabilised"].scale == pytest.approx(6 / 3**0.5)


@pytest.mark.parametrize("name", ["lora", "longlora", "with_head"])
def test_saved_again_it_is_the_same_file_to_peft(name: str, tmp_path: Path) -> None:
    """The same tensors, and the same settings where ours speak of them."""
    folder, config = by_peft(tmp_path / "theirs", name), base_of(name).config
    adapter = read_adapter(folder, config)
    assert adapter.base is not None
    save_adapter(tmp_path / "ours", adapter.trainable, adapter.terms, config, base_of(name).encoding, base=adapter.base)
    ours, theirs = load_file(tmp_path / "ours" / WEIGHTS), load_file(folder / WEIGHTS)
    assert ours.keys() == theirs.keys()
    for tensor, values in theirs.items():
        np.testing.assert_array_equal(ours[tensor], values)
    said, meant = (json.loads((path / CONFIG).read_text()) for path in (tmp_path / "ours", folder))
    modules = set(said.pop("modules_to_save") or ())
    assert modules >= {module for module in meant["modules_to_save"] or () if "." not in module}
    assert {key: sorted(v) if isinstance(v, list) else v for key, v in said.items()} == {k: meant[k] for k in said}


def test_ours_come_back_under_the_encoding_they_were_trained_under(tmp_path: Path) -> None:
    lab, lora = tiny.lab().swap(YARN), LoRA(rank=2, also=("embedding", "norms"))
    trainable, frozen = lora.split(jax.random.key(0), lab.params)
    trainable = moved(trainable)
    save_adapter(tmp_path / "adapter", trainable, lora, lab.config, lab.encoding, base="tiny")
    adapter = read_adapter(tmp_path / "adapter", lab.config)
    assert (vars(adapter.terms), adapter.base) == (vars(lora), "tiny")
    jax.tree.map(np.testing.assert_array_equal, adapter.trainable, trainable)
    adapted = tiny.lab().adapted(tmp_path / "adapter")  # of the model as it was loaded, under RoPE
    assert adapted.encoding == lab.encoding
    merged = lora.merge(trainable, frozen)
    jax.tree.map(np.testing.assert_array_equal, adapted.params, merged)
    assert adapted.original.wiring == tiny.lab().model.wiring
    again = ropelab.load(adapted.export(tmp_path / "model"))
    assert (again.encoding, again.config.trained_length) == (lab.encoding, 128)
    np.testing.assert_array_equal(again.params["layers"]["q"], merged["layers"]["q"])


def test_terms_are_not_exported_unmerged(tmp_path: Path) -> None:
    lab = base_of("lora").adapted(by_peft(tmp_path / "adapter", "lora"), merge=False)
    with pytest.raises(CheckpointError, match="layers/q_a"):
        lab.export(tmp_path / "model")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "'IA3'"),
        ({"bias": "all"}, "bias='all'"),
        ({"use_dora": True}, "use_dora=True"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern="),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa'"),
        ({"something_new": 3}, "something_new=3"),
        ({"r": ...}, "rank=0"),
        ({"r": 3}, names("(4, 64)", "(3, 64)")),
        ({"lora_alpha": "much"}, "lora_alpha='much'"),
        ({"target_modules": ["q_proj", "v_proj", "o_proj"]}, names("o_proj", "target_modules")),
    ],
)
def test_settings_of_another_model_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_adapter(by_peft(tmp_path / "adapter", "lora", **changes), tiny.lab().config)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "lora",
            {f"{LAYER}.self_attn.q_proj.lora_B.weight": None},
            "layers.1.self_attn.q_proj.lora_B.weight",
        ),
        (
            "lora",
            {f"{LAYER[:-1]}2.self_attn.q_proj.lora_A.weight": np.ones((4, 64), np.float32)},
            "layers.2.self_attn.q_proj",
        ),
        ("lora", {f"{LAYER}.self_attn.q_proj.bias": np.ones(64, np.float32)}, "q_proj.bias"),
        ("lora", {f"{LAYER}.self_attn.v_proj.lora_B.weight": np.ones((64, 4), np.float32)}, r"expected \(32, 4\)"),
        ("lora", {f"{LAYER}.self_attn.v_proj.lora_B.weight": np.ones((32, 4), np.int32)}, "int32"),
        ("longlora", {HEAD: None}, names("embedding", "head")),
        ("longlora", {HEAD: np.ones((97, 64), np.float32)}, names("embedding", "head")),
        ("longlora", {f"{LAYER}.input_layernorm.weight": None}, "input_layernorm.weight"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    name: str, changes: dict[str, np.ndarray | None], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_adapter(changed(by_peft(tmp_path / "adapter", name), changes), tiny.lab().config)


def test_an_adapter_of_other_sizes_names_its_base(tmp_path: Path) -> None:
    folder = by_peft(tmp_path / "adapter", "lora", base_model_name_or_path="org/large")
    wider = tiny.lab("mha").config
    with pytest.raises(CheckpointError, match="'org/large'"):
        read_adapter(folder, wider)


def test_what_is_no_adapter_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"adapter_config\.json"):
        read_adapter(tmp_path, tiny.lab().config)
    folder = by_peft(tmp_path / "adapter", "lora")
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="pickled"):
        read_adapter(folder, tiny.lab().config)
    longnet = LongNetConfig(
        vocabulary=11, width=8, layers=1, heads=2, head_dim=4, feed_forward=12, norm_eps=1e-5, trained_length=32
    )
    with pytest.raises(CheckpointError, match="LongNet"):
        read_adapter(folder, longnet)


def test_a_damaged_directory_is_refused_with_the_file_named(tmp_path: Path) -> None:
    folder = by_peft(tmp_path / "adapter", "lora")
    (folder / "ropelab.json").write_text('{"encoding": 4}')
    with pytest.raises(CheckpointError, match=names("ropelab.json", "encoding=4")):
        read_adapter(folder, tiny.lab().config)
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-9])
    with pytest.raises(CheckpointError, match=names(WEIGHTS)):
        read_adapter(folder, tiny.lab().config)
    (folder / CONFIG).write_text('{"peft_type": "LORA"')
    with pytest.raises(CheckpointError, match=names(CONFIG, "JSON")):
        read_adapter(folder, tiny.lab().config)


def test_tables_that_an_encoding_learns_have_no_place_in_an_adapter(tmp_path: Path) -> None:
    lab = tiny.lab().swap("T5Bias()")
    trainable, _ = LoRA().split(jax.random.key(0), lab.params)
    with pytest.raises(CheckpointError, match="T5Bias"):
        save_adapter(tmp_path / "adapter", trainable, LoRA(), lab.config, lab.encoding, base="tiny")
    assert not any(tmp_path.iterdir())
