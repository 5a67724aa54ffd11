"""Layers of the package, import cycles, public names; and no evaluation or unpickling of data anywhere.

spec -> encodings -> attention -> models -> checkpoints -> training -> lab -> cli
data, contract, evaluation at the side; reporting imports evaluation's records only
"""

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import structure

ROOT = Path(__file__).parents[1]
ANYTHING = None

# package -> the parts of ropelab that it may import, whole packages or single modules
LAYERS: dict[str, set[str] | None] = {
    "spec": set(),
    "encodings": {"spec", "precision"},
    "attention": {"spec", "encodings", "precision"},
    "contract": {"spec", "encodings", "attention", "xla_flags"},
    "models": {"spec", "encodings", "attention", "precision"},
    "rope_settings": {"spec", "encodings", "errors"},
    "checkpoints": {"spec", "encodings", "attention", "models", "rope_settings", "errors"},
    "data": {"spec"},
    "training": {"spec", "encodings", "attention", "models", "checkpoints", "data"},
    "evaluation": {"spec", "encodings", "attention", "models", "data", "miscompilation", "precision"},
    "reporting": {"evaluation.record", "evaluation.intervals"},
    "errors": set(),
    "xla_flags": set(),
    "precision": set(),
    "miscompilation": {"xla_flags"},
    "lab": ANYTHING,
    "cli": ANYTHING,
    "__init__": ANYTHING,
}

# package -> the only third-party libraries that it may import, and libraries that it must not import
ONLY: dict[str, set[str]] = {name: {"jax", "numpy"} for name in ("encodings", "attention", "contract")} | {
    "xla_flags": set(),
    "spec": set(),
}
WITHOUT: dict[str, set[str]] = {"reporting": {"jax", "flax"}}

NEVER_IMPORTED = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "torch", "tensorflow"}
NEVER_CALLED = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "os.system"}
IMPORTS_A_FILE = {f"ropelab.encodings.user_module.{n}" for n in ("parse_with_import", "examples", "load_module")} | {
    "ropelab.encodings.user_module"
}
FORBIDDEN_OPTIONS = {"trust_remote_code", "allow_pickle"}

# groups of modules that still import each other inside functions; to be removed, never to be extended
KNOWN_CYCLES = (
    {"ropelab.models.finite", "ropelab.models.module"},
    {f"ropelab.training.{name}" for name in ("checks", "folder", "memory", "runs", "setup", "start")},
)
# packages that do not list their public names in `__all__` yet
WITHOUT_ALL = {
    "ropelab.attention.kernels",
    "ropelab.evaluation.evals",
    "ropelab.evaluation.questions",
    "ropelab.reporting",
    "ropelab.reporting.charts",
    "ropelab.training",
}

Found = tuple[int, str]


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


PACKAGE = sources("ropelab")


def part(path: Path) -> str:
    """Return the package of a file of ropelab, or the name of a top-level module."""
    return path.relative_to(ROOT / "ropelab").parts[0].removesuffix(".py")


def imports(tree: ast.AST, path: Path) -> Iterator[Found]:
    """Yield the line and full name of every module, or member of one, that is imported anywhere in a file.

    `import ropelab` yields the attributes that the file then uses.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, a.name) for a in node.names if (a.name, a.asname) != ("ropelab", None))
        elif isinstance(node, ast.Attribute) and dotted(node.value) == "ropelab":
            yield node.lineno, dotted(node)
        elif isinstance(node, ast.ImportFrom):
            here = path.relative_to(ROOT).parent.parts
            above = here[: len(here) - node.level + 1] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and dotted(node.func) in ("importlib.import_module", "__import__"):
            yield from ((node.lineno, a.value) for a in node.args[:1] if isinstance(a, ast.Constant))


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` for a name or a chain of attributes, "" for anything else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def forbidden_imports(tree: ast.AST, path: Path) -> Iterator[Found]:
    """Yield imports of a later layer, of a library that the layer must not use, and of unsafe libraries."""
    own = part(path)
    assert own in LAYERS, f"{path.relative_to(ROOT)}: say in LAYERS what {own} may import"
    allowed, only, without = LAYERS[own], ONLY.get(own), WITHOUT.get(own, set())
    for line, name in imports(tree, path):
        top, _, rest = name.partition(".")
        if top in NEVER_IMPORTED:
            yield line, f"imports {name}"
        elif top == "ropelab":
            target = rest.partition(".")[0]
            module = ".".join(rest.split(".")[:2])
            if allowed is not ANYTHING and not {target, module} & (allowed | {own, "__version__"}):
                yield (
                    line,
                    f"imports {name}; {own} may import {', '.join(sorted(allowed)) or 'nothing else of ropelab'}",
                )
        elif top in without or (only is not None and top not in (only | sys.stdlib_module_names)):
            yield line, f"imports {name}; {own} does without {top}"


def forbidden_calls(tree: ast.AST) -> Iterator[Found]:
    """Yield calls that evaluate text, and options that execute code from a downloaded file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func) in NEVER_CALLED:
            yield node.lineno, f"calls {dotted(node.func)}"
        if isinstance(node, ast.keyword) and node.arg in FORBIDDEN_OPTIONS and not is_false(node.value):
            yield node.value.lineno, f"sets {node.arg}"
        if isinstance(node, ast.Constant) and node.value in FORBIDDEN_OPTIONS:
            yield node.lineno, f"names {node.value}"


def is_false(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def offences(found: Iterator[Found], path: Path) -> list[str]:
    return [f"{path.relative_to(ROOT)}:{line}: {what}" for line, what in found]


def parsed(path: Path) -> ast.AST:
    return ast.parse(path.read_text(), filename=str(path))


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_layers(path):
    assert not offences(forbidden_imports(parsed(path), path), path)


@pytest.mark.parametrize("path", sources("ropelab", "experiments"), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_evaluated_or_unpickled(path):
    assert not offences(forbidden_calls(parsed(path)), path)


def test_only_the_facade_and_the_commands_import_files_of_users():
    """Importing a file runs it, so code that reads checkpoints, records or configurations must not do so."""
    who = {part(p) for p in PACKAGE for _, name in imports(parsed(p), p) if name in IMPORTS_A_FILE}
    assert who == {"lab", "cli"}


def test_commands_are_imported_by_no_one():
    """Commands are thin: the library does the work and does not import them."""
    for path in PACKAGE:
        found = ((n, f"imports {name}") for n, name in imports(parsed(path), path) if name.startswith("ropelab.cli"))
        assert part(path) == "cli" or not offences(found, path)


def test_experiments_are_imported_by_no_one():
    """Commands are thin: the library implements them, and imports neither them nor the tests."""
    lower = {"experiments", "configs", "tests", "benchmarks"}
    for path in PACKAGE:
        found = ((line, f"imports {name}") for line, name in imports(parsed(path), path) if name.split(".")[0] in lower)
        assert not offences(found, path)


def library() -> list[structure.Module]:
    return structure.find_modules(ROOT, ["ropelab"])


def test_modules_do_not_import_each_other_in_a_circle():
    graph = structure.import_graph(library(), module_level=True)
    assert [cycle for cycle in structure.strong_components(graph) if len(cycle) > 1] == []


def test_cycles_through_imports_inside_functions_do_not_grow():
    """The root package is left out: `ropelab.__version__` may be read from everywhere."""
    modules = [module for module in library() if module.name != "ropelab"]
    new = [cycle for cycle in structure.find_cycles(modules) if not any(set(cycle) <= known for known in KNOWN_CYCLES)]
    assert new == []


@pytest.mark.parametrize("package", [m for m in library() if m.is_package], ids=lambda module: module.name)
def test_packages_list_their_public_names(package):
    names = getattr(importlib.import_module(package.name), "__all__", None)
    if names is None:
        assert package.name in WITHOUT_ALL, f"{package.name}: list its public names in __all__"
        return
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(sys.modules[package.name], name)] == []


@pytest.mark.parametrize(
    "where, text",
    [
        ("encodings/x.py", "from ropelab.attention import attend"),
        ("encodings/x.py", "from ropelab import attention"),
        ("encodings/x.py", "import ropelab.models.llama"),
        ("encodings/x.py", "from ..attention import dense"),
        ("encodings/x.py", "def f():\n    from flax import nnx"),
        ("attention/x.py", "import importlib\nimportlib.import_module('ropelab.models')"),
        ("contract/x.py", "from ropelab.models import llama"),
        ("contract/x.py", "import pytest"),
        ("xla_flags.py", "import jaxlib"),
        ("models/x.py", "from ropelab.checkpoints import locate"),
        ("models/x.py", "import ropelab\nlab = ropelab.load('smollm2')"),
        ("models/x.py", "import ropelab as library"),
        ("reporting/x.py", "import jax.numpy as jnp"),
        ("reporting/x.py", "from ropelab.encodings import parse"),
        ("reporting/x.py", "from ropelab.evaluation import runner"),
        ("reporting/x.py", "from ropelab.evaluation.store import Store"),
        ("evaluation/x.py", "from ropelab.checkpoints import locate"),
        ("checkpoints/x.py", "import torch"),
        ("checkpoints/x.py", "from pickle import load"),
    ],
)
def test_a_forbidden_import_is_found(where, text):
    assert list(forbidden_imports(ast.parse(text), ROOT / "ropelab" / where))


@pytest.mark.parametrize(
    "text",
    ["eval('1')", "exec('1')", "yaml.load(f)", "load(x, trust_remote_code=True)", "np.load(x, allow_pickle=True)"],
)
def test_a_forbidden_call_is_found(text):
    assert list(forbidden_calls(ast.parse(text)))


def test_allowed_imports_and_calls_pass():
    fine = (
        "import jax\nimport math\nimport ropelab\nropelab.__version__\nfrom . import specs\nfrom .base import Encoding"
    )
    path = ROOT / "ropelab" / "encodings" / "x.py"
    assert not list(forbidden_imports(ast.parse(fine), path))
    assert not list(forbidden_calls(ast.parse("model.eval()\nnp.load(x, allow_pickle=False)\nyaml.safe_load(f)")))
