"""No file that a model, an adapter, a run or a record names is imported or run: only what a user names is."""

import contextlib
import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

import ropelab
from ropelab.checkpoints import CheckpointError
from ropelab.checkpoints.peft import ENCODING_FILE, save_adapter
from ropelab.cli import report, translate
from ropelab.training.lora import LoRA
from ropelab.training.manifest import NAME, DamagedError
from tests.checkpoints import gguf_test
from tests.models import tiny
from tests.reporting.runs_on_disk import by_length, jsonl, record, training
from tests.training.tiny import tiny_plan, untrained

ROOT = Path(__file__).parents[2]
OWN = tuple(str(path) for path in (ROOT, sys.prefix, sys.base_prefix))  # whose code may run
CODE = "import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\n"
WITH_CLASS = f"{CODE}from ropelab.encodings import RoPE\nclass X(RoPE): pass\n"
HOSTILE = (
    "{evil}:X()", "evil.py:X()", "./evil.py:X()", "~/evil.py:X()", "{empty}:X()", "empty.py:X()", "{evil}", "evil.py",
    "evil:X()", "evil", "LogN(inner={evil}:X(), original_length=4)", "{evil}:LogN(inner=X(), original_length=4)",
    "evil.X()", "__import__('evil').X()", "RoPE(base=__import__('evil'))",
)  # fmt: skip


class Watch:
    """Notes each file outside of the installed packages whose code is read, compiled, imported or executed.

    Python keeps an audit hook until it ends, so there is one, which is off between tests.
    """

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self.hear)

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "exec" and isinstance(args[0], types.CodeType):
            self.note(event, args[0].co_filename)
        elif event == "compile":
            self.note(event, args[1])
        elif event == "import":
            self.note(event, args[1])
            if args[0] in ("evil", "empty"):
                self.seen.append(f"import of {args[0]}")
        elif event == "open" and str(args[0]).endswith((".py", ".pyc")):
            self.note(event, args[0])

    def note(self, event: str, file: Any) -> None:
        file = file.decode() if isinstance(file, bytes) else file
        if isinstance(file, str) and Path(file).is_absolute() and not file.startswith(OWN):
            self.seen.append(f"{event} of {file}")


WATCH = Watch()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with two files that tell when they run, as the working directory and the home."""
    (tmp_path / "evil.py").write_text(WITH_CLASS)
    (tmp_path / "empty.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield tmp_path
    for name in ("evil", "empty"):
        assert name not in sys.modules


@contextlib.contextmanager
def no_code(folder: Path) -> Iterator[None]:
    """The block is through or refuses its input, and runs nothing."""
    WATCH.seen.clear()
    WATCH.on = True
    try:
        with contextlib.suppress(ValueError, DamagedError):
            yield
    finally:
        WATCH.on = False
    assert WATCH.seen == []
    assert not list(folder.rglob("*.ran"))


def texts(folder: Path) -> list[str]:
    return [text.format(evil=folder / "evil.py", empty=folder / "empty.py") for text in HOSTILE]


def put(value: Any, text: str) -> Iterator[Any]:
    """Copies of a JSON object, each with the text in the place of one of its values or beside them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from (value | {key: changed} for changed in put(inner, text))
        yield value | {"auto_map": {"AutoConfig": text}, "trust_remote_code": True}
    yield text


def test_the_watch_hears_what_a_user_has_run(folder: Path) -> None:
    """A user may: by a path in a call. So the other tests see an import where there is one."""
    with pytest.raises(AssertionError, match=r"evil\.py"), no_code(folder):
        tiny.lab().swap(f"{folder / 'evil.py'}:X()")
    assert list(folder.rglob("*.ran"))


@pytest.mark.parametrize("inside", [False, True], ids=["in the working directory", "in the adapter"])
def test_an_adapter(folder: Path, monkeypatch: pytest.MonkeyPatch, inside: bool) -> None:
    lab, lora = tiny.lab(), LoRA(rank=2)
    trainable, _ = lora.split(jax.random.key(0), lab.params)
    adapter = save_adapter(folder / "adapter", trainable, lora, lab.config, lab.encoding, base="tiny")
    if inside:
        for name in ("evil.py", "empty.py"):
            (folder / name).rename(adapter / name)
        monkeypatch.chdir(adapter)
    for text in texts(adapter if inside else folder):
        (adapter / ENCODING_FILE).write_text(json.dumps({"encoding": text}))
        with no_code(folder), pytest.raises(CheckpointError, match=ENCODING_FILE):
            lab.adapted(adapter)


def test_an_adapter_under_an_encoding_of_one_s_own_is_put_on_that_encoding(folder: Path) -> None:
    lab, lora = tiny.lab().swap("evil.py:X()"), LoRA(rank=2)
    trainable, _ = lora.split(jax.random.key(0), lab.params)
    adapter = save_adapter(folder / "adapter", trainable, lora, lab.config, lab.encoding, base="tiny")
    assert lab.adapted(adapter).encoding == lab.encoding
    with pytest.raises(CheckpointError, match="'X'"):
        tiny.lab().adapted(adapter)


def test_a_hugging_face_directory(folder: Path) -> None:
    model = tiny.write(folder / "model", tokenizer=True)
    for name in ("evil", "modeling_evil", "configuration_evil", "sitecustomize"):
        (model / f"{name}.py").write_text(WITH_CLASS)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        path = model / name
        before = path.read_text() if path.is_file() else None
        value = json.loads(before) if before else {"eos_token": "", "tokenizer_class": "", "chat_template": ""}
        for text in texts(folder)[:4]:
            for changed in put(value, text):
                path.write_text(json.dumps(changed))
                with no_code(folder):
                    ropelab.load(model)
        path.write_text(before) if before else path.unlink()


TEMPLATES = (
    "{{% import '{evil}' as e %}}{{{{ e }}}}", "{{% include 'evil.py' %}}", "{{% extends 'evil.py' %}}",
    "{{% from 'evil.py' import X %}}{{{{ X() }}}}",
    "{{{{ ''.__class__.__mro__[1].__subclasses__() }}}}", "{{{{ cycler.__init__.__globals__.os.system('true') }}}}",
    "{{{{ self._TemplateReference__context.environment.loader }}}}", "{{{{ messages.__class__.__base__ }}}}",
    "{{{{ lipsum.__globals__['__builtins__']['__import__']('evil') }}}}",
)  # fmt: skip


def test_a_chat_template(folder: Path) -> None:
    model = tiny.write(folder / "model", tokenizer=True)
    for template in TEMPLATES:
        text = template.format(evil=folder / "evil.py")
        (model / "tokenizer_config.json").write_text(json.dumps({"chat_template": text}))
        lab = ropelab.load(model)
        with no_code(folder):
            lab.generate("a", chat=True, max_new_tokens=1)


def test_a_gguf(folder: Path) -> None:
    keys: dict[str, Callable[[str], Any]] = {
        "general.architecture": str, "general.name": str, "tokenizer.ggml.model": str, "tokenizer.ggml.pre": str,
        "tokenizer.chat_template": str, "llama.rope.scaling.type": str,
        "tokenizer.ggml.tokens": lambda text: [text] * 97, "tokenizer.ggml.merges": lambda text: [text],
    }  # fmt: skip
    for key, value in keys.items():
        for text in texts(folder)[:4]:
            path = gguf_test.write(folder / "m.gguf", metadata={key: value(text)})
            with no_code(folder):
                ropelab.load(path)


def test_a_run(folder: Path) -> None:
    run = untrained(tiny_plan(), folder / "run")
    ropelab.load(run)
    plan = json.loads((run / "plan.json").read_text())
    for text in texts(folder)[::2]:
        for old, new in (
            ("RoPE(base=100.0)", text), ("RoPE(base=100.0)", repr(text)), ("Causal()", text),
            ("'Copy(symbols=16)'", repr(text)), (repr(tiny_plan().model), repr(text)), (plan["plan"], text),
        ):  # fmt: skip
            assert old in plan["plan"]
            (run / "plan.json").write_text(json.dumps(plan | {"plan": plan["plan"].replace(old, new)}))
            with no_code(folder):
                ropelab.load(run)
    (run / "plan.json").write_text(json.dumps(plan))
    sealed = json.loads(next(run.glob(f"checkpoints/*/{NAME}")).read_text())
    for text in texts(folder)[:2]:
        for changed in put(sealed, text):
            next(run.glob(f"checkpoints/*/{NAME}")).write_text(json.dumps(changed))
            with no_code(folder):
                ropelab.load(run)


def test_records_and_the_report_of_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, text in enumerate(texts(folder)[:6]):
        training(folder / f"runs{number}" / "evil.py:X()-0", by_length({64: 4.0, 128: 6.0}), length=64, encoding=text)
        rows = [record(text, "perplexity", 64, 4.0, encoding=text), record("RoPE()", text, 64, 4.0, pattern=text)]
        jsonl(folder / f"eval{number}" / "records.jsonl", rows)
        for place in (f"runs{number}", f"eval{number}"):
            with no_code(folder):
                report.main(["report", f"--workdir={folder / place}", f"--to={folder / 'out'}"])
    capsys.readouterr()


def test_a_setting_that_is_translated(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in texts(folder):
        (folder / "config.json").write_text(json.dumps({"rope_scaling": {"rope_type": text, "factor": 2.0}}))
        for said in (text, str(folder / "config.json")):
            with no_code(folder):
                translate.main(["translate", said, "--to=spec", "--head_dim=64"])
    capsys.readouterr()
