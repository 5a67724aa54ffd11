"""Show that transformers and PEFT load what ropelab writes and compute its logits; freeze what they make of a tiny one.

Two steps, as one needs ropelab and the other torch; DIR goes from the first to the second.

    python tools/golden/make_export.py write DIR [--smollm2]      # with ropelab, from the root of the repository
    python tools/golden/make_export.py read DIR                   # transformers 5.23.0, peft 0.21.2, torch 2.13.0

`write` exports the tiny Llama of llama.npz (and SmolLM2-135M) under several encodings, with adapters of random B
merged and apart. `read` computes logits of each with transformers, and with PEFT where there is an adapter (eager
attention), prints how far ours are from them, has PEFT make adapters of its own for the tiny model, and writes
tests/golden/export.npz. On 2 cores 3 min with SmolLM2.

In float32 two libraries round differently: on SmolLM2's 400 tokens, logits up to 42, each is 0.9e-4 to 2e-4 from its
own float64. So the bound holds for log-probabilities in float32, and for logits in float64.
"""

import argparse
import dataclasses
import hashlib
import json
import os
from pathlib import Path

import numpy as np

from tests.models import tiny

OUTPUT = Path(__file__).parents[2] / "tests" / "golden" / "export.npz"
TOLERANCE = 2e-4
ROWS = slice(-20, None)
TINY = {  # name → variant of llama.npz, encoding
    "plain": ("default_1e4", "RoPE(base=1e4)"),
    "yarn": ("default_1e4", "YaRN(factor=4.0, original_length=32)"),
    "pi": ("default_1e4", "PI(factor=4.0)"),
    "ntk": ("default_1e4", "NTK(alpha=4.0)"),
    "dynamic": ("default_1e4", "DynamicNTK(factor=2.0, original_length=32)"),
    "llama3": ("default_1e4", "Llama3RoPE(factor=8.0, original_length=32)"),
    "untied": ("default_5e5_untied", "YaRN(factor=4.0, original_length=32)"),
    "biased": ("biased", "PI(factor=2.0)"),
}
SMOLLM2 = {
    "smollm2_yarn": "YaRN(factor=2.0, original_length=8192)",
    "smollm2_pi": "PI(factor=2.0)",
    "smollm2_ntk": "NTK(alpha=2.0)",
}
PEFT = {  # name → exported base, arguments of LoraConfig
    "lora": ("yarn", {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}),
    "stabilised": ("untied", {"r": 3, "lora_alpha": 6, "target_modules": "all-linear", "use_rslora": True}),
    "longlora": ("yarn", {"modules_to_save": ["embed_tokens", "norm"], "ensure_weight_tying": True}),
    "with_head": ("untied", {"modules_to_save": ["embed_tokens", "norm", "lm_head"]}),
}
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj"]


def write(folder, with_smollm2):
    import jax

    import ropelab

    jax.config.update("jax_enable_x64", True)  # float32 stays what it is
    for name, (variant, encoding) in TINY.items():
        lab = tiny.lab(variant).swap(encoding)
        lab.export(folder / name)
        keep(folder, name, lab.logits(tiny.LONG), tiny.LONG)
    write_adapted(folder, "yarn", tiny.lab().swap(TINY["yarn"][1]), tiny.LONG)
    if with_smollm2:
        ids = np.load(OUTPUT.with_name("smollm2.npz"))["ids"][None, :400]
        plain = ropelab.load("smollm2")
        keep(folder, "smollm2_plain_unextended", plain.logits(ids), ids)
        for name, encoding in SMOLLM2.items():
            lab = plain.swap(encoding)
            lab.export(folder / name)
            exact = ropelab.load(folder / name, dtype="float64").logits(ids)
            keep(folder, name, lab.logits(ids), ids, exact)
        write_adapted(folder, "smollm2_yarn", plain.swap(SMOLLM2["smollm2_yarn"]), ids)


def write_adapted(folder, base, lab, ids):
    """Adapters of random B: merged into an export, and apart beside the base."""
    import jax

    from ropelab.checkpoints.peft import save_adapter
    from ropelab.models.module import Model, Parameters
    from ropelab.training.lora import LoRA

    for name, lora in {"lora": LoRA(), "longlora": LoRA(also=("embedding", "norms"))}.items():
        trainable, frozen = lora.split(jax.random.key(0), lab.params)
        leaves, structure = jax.tree.flatten(trainable)
        keys = jax.random.split(jax.random.key(1), len(leaves))
        moved = [x + 0.02 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
        trainable = jax.tree.unflatten(structure, moved)
        unmerged = Model(lab.model.wiring, Parameters(lora.join(trainable, frozen)))
        merged = Model(lab.model.wiring, Parameters(lora.merge(trainable, frozen)))
        save_adapter(folder / f"{base}+{name}", trainable, lora, lab.config, lab.encoding, base=base)
        keep(folder, f"{base}+{name}", unmerged.logits(ids), ids)
        dataclasses.replace(lab, model=merged).export(folder / f"{base}_merged_{name}")
        keep(folder, f"{base}_merged_{name}", merged.logits(ids), ids)


def keep(folder, name, logits, ids, exact=None):
    """Ours, and where given those computed in float64."""
    more = {} if exact is None else {"exact": np.asarray(exact)}
    np.savez(folder / f"{name}.npz", logits=np.asarray(logits), ids=ids, **more)


def read(folder):
    os.chdir(folder)  # adapters then name their base without this machine's path
    arrays = {}
    for kept in sorted(Path(".").glob("*.npz")):
        name, ours = kept.stem, np.load(kept)
        if (Path(name) / "config.json").is_file() or (Path(name) / "adapter_config.json").is_file():
            theirs = logits(name, ours["ids"])
            report(name, ours, theirs)
            if name in TINY:
                arrays |= frozen_export(name, theirs)
    check_tokenizer("smollm2_yarn")
    for name, (base, arguments) in PEFT.items():
        arrays |= made_by_peft(name, base, arguments, np.load(f"{base}.npz")["ids"])
    arrays |= sources()
    np.savez_compressed(OUTPUT, **arrays)
    print(f"{OUTPUT.name}: {len(arrays)} arrays, {OUTPUT.stat().st_size / 1000:.0f} kB")


def logits(name, ids, dtype="float32"):
    import torch

    model = loaded(name, dtype)
    with torch.inference_mode():
        return model(torch.from_numpy(ids).long()).logits.numpy()


def loaded(name, dtype="float32"):
    """A directory as its users load it: an adapter over the base that it names."""
    import peft
    import transformers

    settings = Path(name) / "adapter_config.json"
    base = json.loads(settings.read_text())["base_model_name_or_path"] if settings.is_file() else name
    model = transformers.AutoModelForCausalLM.from_pretrained(
        base, dtype=dtype, attn_implementation="eager", local_files_only=True
    )
    return (peft.PeftModel.from_pretrained(model, name) if settings.is_file() else model).eval()


def report(name, ours, theirs):
    plain = np.load("smollm2_plain_unextended.npz" if name.startswith("smollm2") else "plain.npz")["logits"]
    apart = largest(log_softmax(ours["logits"]) - log_softmax(theirs))
    line = f"{name:<28} log-probabilities apart by {apart:.1e}, logits (up to {largest(theirs):.0f}) by "
    line += f"{largest(ours['logits'] - theirs):.1e}"
    if "exact" in ours:
        exact = largest(ours["exact"] - logits(name, ours["ids"], "float64"))
        line, apart = f"{line}, in float64 by {exact:.1e}", max(apart, exact)
    print(f"{line}; from the model as loaded by {largest(plain - theirs):.1e}")
    assert apart < TOLERANCE, name


def largest(x):
    return np.abs(x).max()


def log_softmax(x):
    wide = x.astype(np.float64) - x.max(-1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(-1, keepdims=True))


def check_tokenizer(name):
    """The exported tokenizer gives the ids that the frozen text has."""
    import transformers

    if Path(name).is_dir():
        frozen = np.load(OUTPUT.with_name("smollm2.npz"))
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, local_files_only=True)
        assert tokenizer(str(frozen["text"]))["input_ids"] == frozen["ids"].tolist()
        chat = tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], tokenize=False)
        print(f"{name}: tokenizer {type(tokenizer).__name__}, bos {tokenizer.bos_token}, eos {tokenizer.eos_token}")
        print(repr(chat))


def frozen_export(name, theirs):
    """What transformers has loaded, so that a test can tell whether the same is still written."""
    digest = hashlib.sha256((Path(name) / "model.safetensors").read_bytes()).hexdigest()
    config = (Path(name) / "config.json").read_text()
    return {
        f"exports/{name}/config": np.array(config),
        f"exports/{name}/sha256": np.array(digest),
        f"exports/{name}/logits": theirs[:, ROWS],
    }


def made_by_peft(name, base, arguments, ids):
    """An adapter as PEFT saves it, and the logits with it."""
    import peft
    import torch

    torch.manual_seed(0)
    arguments = {"r": 4, "lora_alpha": 8, "target_modules": PROJECTIONS, "task_type": "CAUSAL_LM"} | arguments
    model = peft.get_peft_model(loaded(base), peft.LoraConfig(**arguments))
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight) * weight.requires_grad
    before = model(torch.from_numpy(ids).long()).logits.detach().numpy()
    model.save_pretrained(f"peft_{name}")
    theirs = logits(f"peft_{name}", ids)
    assert largest(theirs - before) < 1e-5, name
    print(f"peft_{name:<23} moves logits by up to {largest(theirs - np.load(f'{base}.npz')['logits']):.1f}")
    settings = json.loads(Path(f"peft_{name}/adapter_config.json").read_text())
    in_order = {k: sorted(v) if isinstance(v, list) else v for k, v in settings.items()}  # sets, else in any order
    weights = Path(f"peft_{name}/adapter_model.safetensors").read_bytes()
    return {
        f"adapters/{name}/config": np.array(json.dumps(in_order)),
        f"adapters/{name}/weights": np.frombuffer(weights, np.uint8),
        f"adapters/{name}/logits": theirs[:, ROWS],
    }


def sources():
    import peft
    import torch
    import transformers

    versions = {"transformers": transformers.__version__, "peft": peft.__version__, "torch": torch.__version__}
    return {
        "exports": np.array(json.dumps(TINY)),
        "adapters": np.array(json.dumps({name: base for name, (base, _) in PEFT.items()})),
        "source": np.array(json.dumps(versions)),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=["write", "read"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--smollm2", action="store_true")
    arguments = parser.parse_args()
    if arguments.step == "write":
        arguments.folder.mkdir(parents=True, exist_ok=True)
        write(arguments.folder.absolute(), arguments.smollm2)
    else:
        read(arguments.folder)


if __name__ == "__main__":
    main()
