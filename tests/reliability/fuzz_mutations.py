"""Mutations of what is read from disk: JSON by its structure, specs by their text, files by their bytes.

Everything is sampled from the generator that is passed in, so that a case is made again from its seed and its number.
"""

import copy
import json
import random
import re
from collections.abc import Sequence
from typing import Any

HERE = "@here@"  # stands for the folder of the case, wherever that is
RAW = {  # stand for JSON text that json.dumps cannot write
    "@list@": "[" * 3000 + "]" * 3000,
    "@object@": '{"a":' * 3000 + "1" + "}" * 3000,
    "@huge@": "9" * 400,
    "@endless@": "9" * 5000,
    "@1e400@": "1e400",
    "@-0@": "-0",
    "@twice@": '{"a": 1, "a": 2}',
}
BAIT = [  # what would import or read a file that lies there as bait
    "evil.py:X()", "./evil.py:X()", f"{HERE}/evil.py:X()", "~/evil.py:X()", "../outside/evil.py:X()", "evil:X()",
    "evil.X", "evil.py", "../outside/secret", "/etc/passwd", "file:///etc/passwd", "__import__('os').system('true')",
]  # fmt: skip
NUMBERS: list[Any] = [
    0, -1, 1, 2, 3, 0.5, -0.0, 1e-300, 1e300, -1e308, float("nan"), float("inf"), float("-inf"), 2**31 - 1, 2**31,
    2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**9, 10**12, 10**30, 10**400, -(10**400),
]  # fmt: skip
TEXTS = [
    "", " ", "x", "0", "32", "1e9", "nan", "\0", "\ud800", "\n", "é🤖", "a" * 5000, "../x", "{}", "[]", "null", "²",
    "%s%n{0}", "<script>", "=1+1", "(", "-" * 3000 + "1",
]  # fmt: skip
SHAPES: list[Any] = [None, True, False, [], [1], [[]], [None], {}, {"a": 1}, {"": None}, [0] * 1000, *RAW]
STRANGE = [*NUMBERS, *TEXTS, *SHAPES, *BAIT]
Place = tuple[Any, ...]


def strange(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(rng.choice([NUMBERS, TEXTS, SHAPES, BAIT])))


# JSON.


def places(value: Any, path: Place = ()) -> list[Place]:
    """The path to every value of a JSON document, its own included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


def at(value: Any, path: Place) -> Any:
    for key in path:
        value = value[key]
    return value


def some_place(rng: random.Random, value: Any) -> Place:
    """Half of the time any value, half of the time one near the top, where large lists do not crowd out the rest."""
    if rng.random() < 0.5:
        return rng.choice(places(value))
    path: Place = ()
    while isinstance(value, dict | list) and value and rng.random() < 0.8:
        key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        path, value = (*path, key), value[key]
    return path


def mutated(rng: random.Random, value: Any, words: Sequence[Any] = (), edits: Sequence[int] = (1, 1, 1, 2, 3)) -> Any:
    """A JSON document after a few edits.

    Args:
        words: keys and values of this format, to insert.
        edits: how many, one of these.
    """
    value = copy.deepcopy(value)
    for _ in range(rng.choice(edits)):
        value = edited(rng, value, words)
    return value


def edited(rng: random.Random, value: Any, words: Sequence[Any]) -> Any:
    """A value taken out, put in, replaced, moved or repeated, at any depth."""
    path = some_place(rng, value)
    if not path:
        return strange(rng) if rng.random() < 0.1 else inserted(rng, value, words)
    node, key, old = at(value, path[:-1]), path[-1], at(value, path)
    match rng.randrange(9):
        case 0:
            del node[key]
        case 1 | 2:
            node[key] = strange(rng)
        case 3:
            node[key] = retyped(rng, old)
        case 4:
            node[key] = perturbed(rng, old, words)
        case 5:
            node[key] = copy.deepcopy(at(value, some_place(rng, value)))
        case 6:
            node[key] = inserted(rng, old, words)
        case 7 if isinstance(node, dict):
            node[some_key(rng, words)] = node.pop(key)
        case 8 if isinstance(node, list):
            node[key:key] = [copy.deepcopy(old) for _ in range(rng.choice([1, 2, 1000]))]
        case _:
            node[key] = copy.deepcopy(rng.choice(words)) if words else None
    return value


def inserted(rng: random.Random, value: Any, words: Sequence[Any]) -> Any:
    """With one more member."""
    new = copy.deepcopy(rng.choice(words)) if words and rng.random() < 0.5 else strange(rng)
    if isinstance(value, dict):
        value[some_key(rng, words)] = new
        return value
    if isinstance(value, list):
        value.insert(rng.randint(0, len(value)), new)
        return value
    return new


def some_key(rng: random.Random, words: Sequence[Any]) -> str:
    texts = [word for word in words if isinstance(word, str)]
    return rng.choice(texts) if texts and rng.random() < 0.8 else rng.choice(TEXTS)


def retyped(rng: random.Random, value: Any) -> Any:
    """The same as another type."""
    plain = value if isinstance(value, int | float | str) and not isinstance(value, bool) else 1
    return rng.choice([[value], {"a": value}, [value] * 2, str(value), repr(plain), bool(value), None])


def perturbed(rng: random.Random, value: Any, words: Sequence[Any]) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice([value + 1, value - 1, -value, value * 2, value * 10**9, value + 0.5, rng.choice(NUMBERS)])
    if isinstance(value, float):
        return rng.choice([-value, value * 1e30, value * 1e-30, value * 1e300, round(value, 1), rng.choice(NUMBERS)])
    if isinstance(value, str):
        texts = [word for word in words if isinstance(word, str)] or TEXTS
        return rng.choice([text_edited(rng, value), rng.choice(texts), rng.choice(TEXTS), rng.choice(BAIT)])
    return rng.choice([[], {}, None])


def text_edited(rng: random.Random, text: str) -> str:
    """A few letters out, in, or repeated."""
    start = rng.randint(0, len(text))
    end = min(len(text), start + rng.choice([0, 1, 1, 4]))
    middle = rng.choice(["", "x", text[start:end] * 2, rng.choice(TEXTS), text[start:end][::-1]])
    return text[:start] + middle + text[end:]


def dumped(value: Any, here: str) -> str:
    """As JSON text, with what `RAW` and `HERE` stand for."""
    text = json.dumps(value)
    for name, raw in RAW.items():
        text = text.replace(f'"{name}"', raw)
    return text.replace(HERE, here)


def json_bytes(rng: random.Random, value: Any, here: str) -> bytes:
    """As a file; sometimes damaged besides."""
    raw = dumped(value, here).encode()
    return damaged(rng, raw) if rng.random() < 0.15 else raw


# Specs, `Name(field=value, ...)`.

TOKENS = re.compile(r"\w[\w.]*|\S")
LITERALS = [
    "0", "-1", "1", "0.5", "1e300", "1e-300", "1e999", "2**64", str(2**31), str(2**63), "9" * 400, "-" + "9" * 400,
    "9" * 5000, "1j", "True", "None", "'x'", "b'x'", "...", "()", "(1,)", "[]", "{}", "{[]}", "{[]: 1}", "{1: 2}",
    "-" * 3000 + "1", "not 1", "x.y", "x[0]", "lambda: 0", "*a", "**a", "f'{1}'", "'\\ud800'", "\0", "²", "#",
    "(" * 150 + ")" * 150, "(" * 3000 + ")" * 3000, "RoPE(" * 40 + ")" * 40, "Layers((" * 60 + "))" * 60,
]  # fmt: skip


def spec_edited(rng: random.Random, spec: str, others: Sequence[str]) -> str:
    """A spec after a few edits of its words: a literal for another, a field of another spec, one spec in another."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        spec = spec_edit(rng, spec, others)
    return spec


def spec_edit(rng: random.Random, spec: str, others: Sequence[str]) -> str:
    found = list(TOKENS.finditer(spec))
    values = [m for m in found if m.group()[0].isdigit() or m.group() in ("True", "False", "None")]
    match rng.randrange(10):
        case 0 | 1 | 2 | 3 if values:
            m = rng.choice(values)
            new = rng.choice(LITERALS) if rng.random() < 0.8 else rng.choice(others)
            return spec[: m.start()] + new + spec[m.end() :]
        case 4 if found:
            m = rng.choice(found)
            return spec[: m.start()] + rng.choice([*BAIT, "", "x", "__class__"]) + spec[m.end() :]
        case 5:
            return rng.choice([spec, ""]) + rng.choice(["+", ";", ",", "(", "=", ":", " "]) + rng.choice(others)
        case 6:
            return spec.replace("(", f"({rng.choice(['of', 'base', 'x', 'factor'])}={rng.choice(LITERALS)}, ", 1)
        case 7:
            return rng.choice(
                ["Layers(({},))", "LogN(inner={}, original_length=4)", "Temperature(inner={})", "({})"]
            ).replace("{}", spec)
        case 8:
            return rng.choice(LITERALS)
        case _:
            return text_edited(rng, spec)


# Bytes.


def damaged(rng: random.Random, raw: bytes) -> bytes:
    """Cut, overwritten, extended or flipped somewhere."""
    data, size = bytearray(raw), len(raw)
    if not size:
        return b"\x00"
    start = rng.randrange(size)
    end = min(size, start + rng.choice([1, 4, 8, 64]))
    match rng.randrange(8):
        case 0:
            del data[start:]
        case 1:
            del data[start:end]
        case 2:
            data[start] ^= 1 << rng.randrange(8)
        case 3:
            data[start] = rng.randrange(256)
        case 4:
            data[start:end] = bytes([rng.choice([0, 0x7F, 0xFF])]) * (end - start)
        case 5:
            data[start:start] = data[start:end] * rng.choice([1, 100])
        case 6:
            data[start:start] = rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\n", b"\x80", b'"', b"}"])
        case _:
            return rng.choice([b"", b"\0" * size, raw + raw, raw.decode("latin-1").encode("utf-16")])
    return bytes(data)


def safetensors_mutated(rng: random.Random, raw: bytes, here: str) -> bytes:
    """A safetensors file: its bytes, the length of its header, the bytes of the header, or the JSON in it."""
    end = 8 + int.from_bytes(raw[:8], "little")
    match rng.randrange(5):
        case 0:
            return damaged(rng, raw)
        case 1:
            length = rng.choice([0, 1, end - 9, end - 7, len(raw), 10**8, 2**31, 2**63, 2**64 - 1])
            return length.to_bytes(8, "little") + raw[8:]
        case 2:
            head = bytearray(raw[8:end])
            for _ in range(rng.randrange(1, 4)):
                head[rng.randrange(len(head))] = rng.randrange(256)
            return raw[:8] + bytes(head) + raw[end:]
        case _:
            tensors = json.loads(raw[8:end])
            changed = rng.choice([retyped_tensor, moved_tensor, any_tensor])(rng, tensors)
            head = dumped(changed, here).encode()
            return len(head).to_bytes(8, "little") + head + raw[end:]


def named_tensors(tensors: dict[str, Any]) -> list[str]:
    return sorted(name for name in tensors if name != "__metadata__")


def retyped_tensor(rng: random.Random, tensors: dict[str, Any]) -> Any:
    kinds = ["I32", "U32", "F16", "BF16", "F64", "I64", "F8_E4M3", "F8_E5M2", "F4", "BOOL", "U8", "F99", "C64"]
    names = named_tensors(tensors)
    for name in rng.sample(names, rng.choice([1, len(names)])):
        tensors[name]["dtype"] = rng.choice(kinds)
    return tensors


def moved_tensor(rng: random.Random, tensors: dict[str, Any]) -> Any:
    """Over another, beyond the end, backwards, or of another shape."""
    name, other = rng.choices(named_tensors(tensors), k=2)
    start, end = tensors[name]["data_offsets"]
    far = [
        tensors[other]["data_offsets"],
        [end, start],
        [0, 2**63],
        [0, 2**64],
        [start, end + 1],
        [start, start],
        [-1, 1],
    ]
    if rng.random() < 0.5:
        tensors[name]["data_offsets"] = rng.choice(far)
    else:
        shape = tensors[name]["shape"]
        tensors[name]["shape"] = rng.choice(
            [shape[::-1], [*shape, 1], shape[:-1], [], [0, *shape], [2**32, 2**32], [10**400], [-1], [2**62, 4]]
        )
    return tensors


def any_tensor(rng: random.Random, tensors: dict[str, Any]) -> Any:
    return mutated(rng, tensors, ["dtype", "shape", "data_offsets", "__metadata__", {"a": "b"}, {"a": 1}])
