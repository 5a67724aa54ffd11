"""Values that are written as they are called: `YaRN(factor=4.0, original_length=8192)`.

Encodings and patterns are frozen dataclasses whose `repr` is their spec, and `parse` reads
that spec back with Python's own grammar but none of its evaluation: only calls of known
names, keyword arguments, literals, tuples and nested calls are understood. Flags, configuration
files, result tables and checkpoints all speak this one notation.
"""

import ast
import dataclasses
import difflib
import functools
import math
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

T = TypeVar("T")

_MAX_LENGTH = 50_000  # characters of a spec: a plan of four phases of LongRoPE has 20,000
_MAX_DEPTH = 64  # of its syntax tree, two levels per nested spec
_MAX_INTEGER = 2**63 - 1
_SHOWN = 200  # characters of a value in a message


def _warn_of_old_name(cls: type["Spec"], old: str) -> str:
    """Return the present name of a renamed field or method, with a deprecation warning."""
    new = cls.renamed[old]
    warnings.warn(f"{cls.__name__}: {old} is now {new}", DeprecationWarning, stacklevel=3)
    return new


def _accept_old_names(cls: type) -> None:
    """Let the constructor of a dataclass take renamed fields under their old names too."""
    init = cls.__init__
    old_fields = {*cls.renamed} if {*cls.renamed.values()} & {f.name for f in dataclasses.fields(cls)} else set()
    if not old_fields:
        return

    @functools.wraps(init)
    def accept(self: "Spec", *args: Any, **fields: Any) -> None:
        for old in old_fields & {*fields}:
            require(cls.renamed[old] not in fields, self, f"{old} and {cls.renamed[old]} are the same field")
            fields[_warn_of_old_name(cls, old)] = fields.pop(old)
        init(self, *args, **fields)

    setattr(cls, "__init__", accept)  # noqa: B010  pyright knows no other way


@typing.dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=True)
def spec(cls: type[T]) -> type[T]:
    """Make a class a frozen, keyword-only dataclass that keeps the short `repr` of `Spec`."""
    made = dataclasses.dataclass(frozen=True, kw_only=True, repr=False)(cls)
    _accept_old_names(made)
    return made


@spec
class Spec:
    """A hashable value that checks its fields on creation and prints as its own constructor call.

    Attributes:
        positional: fields that are written without their name, first and in this order.
        renamed: old names of fields and methods, with the names they have now. Old fields are still accepted and old
            methods can still be called; a subclass that overrides an old method is refused, because nothing would call
            it.
    """

    positional: ClassVar[tuple[str, ...]] = ()
    renamed: ClassVar[Mapping[str, str]] = types.MappingProxyType({})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for old in sorted({*vars(cls), *vars(cls).get("__annotations__", {})} & {*cls.renamed}):
            raise TypeError(f"{cls.__name__} defines {old}, which is now {cls.renamed[old]}; rename it")

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name not in type(self).renamed:
                raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
            return getattr(self, _warn_of_old_name(type(self), name))

    def __post_init__(self) -> None:
        hints = resolve_field_types(type(self))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            object.__setattr__(self, field.name, _conform(value, hints[field.name], field.name, self))

    def __repr__(self) -> str:
        given = ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self) if not is_default(self, f))
        written = (repr(value) if name in self.positional else f"{name}={value!r}" for name, value in given)
        return f"{type(self).__name__}({', '.join(written)})"


def is_default(value: Spec, field: dataclasses.Field) -> bool:
    """Return whether the field has its default value."""
    return field.default is not dataclasses.MISSING and getattr(value, field.name) == field.default


def resolve_field_types(cls: type) -> dict[str, Any]:
    """Return the resolved annotation of every field."""
    return typing.get_type_hints(cls)


def list_alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of a union, or the annotation itself if it is not a union."""
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)


def _conform(value: Any, annotation: Any, name: str, owner: object) -> Any:
    """Return `value` as the annotation requires it (an int passed for a float becomes a float).

    Raises:
        ValueError: naming the field, what was given and what is allowed.
    """
    for option in list_alternatives(annotation):
        if option is type(None) and value is None:
            return None
        if typing.get_origin(option) is Literal and any(value is o or value == o for o in typing.get_args(option)):
            return value
        if option is float and isinstance(value, int | float) and not isinstance(value, bool):
            return _to_finite_float(value, name, owner)
        if option is int and isinstance(value, int) and not isinstance(value, bool):
            require(abs(value) <= _MAX_INTEGER, owner, f"{name}={_abbreviate(value)} must be within ±{_MAX_INTEGER}")
            return value
        if option is bool and isinstance(value, bool):
            return value
        if typing.get_origin(option) is tuple and isinstance(value, tuple | list):
            inner = typing.get_args(option)[0]
            return tuple(_conform(item, inner, name, owner) for item in value)
        if isinstance(option, type) and option not in (int, float, bool) and isinstance(value, option):
            return value
    raise ValueError(
        f"{type(owner).__name__}: {name}={_abbreviate(value)} is not allowed; it takes {describe_type(annotation)}"
    )


def _to_finite_float(value: float, name: str, owner: object) -> float:
    """Return `value` as a float.

    Raises:
        ValueError: for NaN, an infinity, or an integer that no float can hold.
    """
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    require(math.isfinite(number), owner, f"{name}={_abbreviate(value)} must be a finite number")
    return number


def _abbreviate(value: object) -> str:
    """Return the `repr` of a value, cut if it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python does not print integers of more than 4300 digits
        text = "an integer of thousands of digits"
    except RecursionError:
        text = "a value nested too deeply"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def describe_type(annotation: Any) -> str:
    """Describe an annotation as text: `"half" or "interleaved" or None`."""
    words = []
    for option in list_alternatives(annotation):
        if typing.get_origin(option) is Literal:
            words += [repr(o).replace("'", '"') for o in typing.get_args(option)]
        elif typing.get_origin(option) is tuple:
            words.append(f"a tuple of {describe_type(typing.get_args(option)[0])}")
        else:
            words.append("None" if option is type(None) else option.__name__)
    return " or ".join(words)


def iterate_specs(value: object) -> Iterator[Spec]:
    """Yield a spec and all specs nested in it."""
    if isinstance(value, Spec):
        yield value
        value = tuple(getattr(value, field.name) for field in dataclasses.fields(value))
    for item in value if isinstance(value, tuple) else ():
        yield from iterate_specs(item)


def require(condition: bool, owner: object, message: str) -> None:
    """Raise `ValueError` in the name of `owner` unless the condition holds."""
    if not condition:
        raise ValueError(f"{type(owner).__name__}: {message}")


def at_least(low: float, owner: object, *names: str) -> None:
    """Raise `ValueError` for each of these fields of `owner` that is below `low`."""
    for name in names:
        value = getattr(owner, name)
        require(value >= low, owner, f"{name}={value} must be at least {low}")


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean X?`, or an empty string if no known name is close."""
    folded = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    return f" Did you mean {folded[close[0]]}?" if close else ""


def parse(
    text: str, known: Mapping[str, Callable[..., Any]], kind: str, inherited: Mapping[str, Any] | None = None
) -> Any:
    """Parse one spec, `Name(field=literal, ...)`, or a bare `Name` for `Name()`.

    Args:
        known: constructors by name.
        kind: what errors call the value.
        inherited: values of fields that have no default and are left out, at any depth.

    Raises:
        ValueError: for anything that is not such a spec, an unknown name or an unknown field,
            with the nearest right one.
    """
    tree = _parse_tree(text, kind)
    if not isinstance(tree, ast.Name | ast.Call):
        raise ValueError(f"{_abbreviate(text)} is no {kind}; write Name(field=value)")
    return _build(tree, _abbreviate(text), known, kind, inherited or {})


def _parse_tree(text: str, kind: str) -> ast.expr:
    """Return the syntax tree of a spec.

    Raises:
        ValueError: for a text that is too long, nested too deeply, or no expression of Python.
    """
    if not isinstance(text, str):
        raise ValueError(f"{_abbreviate(text)} is no text; the {kind} is written Name(field=value)")
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"the {kind} {_abbreviate(text)} is too long; at most {_MAX_LENGTH} characters are read")
    too_deep = f"the {kind} {_abbreviate(text)} is nested too deeply; at most {_MAX_DEPTH} levels are read"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"cannot read the {kind} {_abbreviate(text)}: {error.msg}; write Name(field=value)") from None
    except (RecursionError, MemoryError):  # what Python's parser raises beyond its own depth
        raise ValueError(too_deep) from None
    except ValueError as error:  # of a NUL, or of half a surrogate pair
        raise ValueError(f"cannot read the {kind} {_abbreviate(text)}: {error}; write Name(field=value)") from None
    level: list[ast.AST] = [tree]
    for _ in range(_MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise ValueError(too_deep)
    return tree


def _build(
    node: ast.expr, text: str, known: Mapping[str, Callable[..., Any]], kind: str, inherited: Mapping[str, Any]
) -> Any:
    """Return the value of one node of a spec's syntax tree; `text` is the spec as messages show it."""
    if isinstance(node, ast.Name):
        return construct(_lookup(node.id, known, kind), {}, text, inherited)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        cls = _lookup(node.func.id, known, kind)
        positional = getattr(cls, "positional", ())
        if len(node.args) > len(positional) or any(k.arg is None for k in node.keywords):
            raise ValueError(f"in the {kind} {text}: {node.func.id} takes its fields by name, field=value")
        renamed = getattr(cls, "renamed", {})
        named = ((renamed.get(str(k.arg), str(k.arg)), k.value) for k in node.keywords)
        written = [*zip(positional, node.args, strict=False), *named]
        if len(dict(written)) < len(written):
            raise ValueError(f"in the {kind} {text}: {node.func.id} is given a field twice")
        fields = {name: _build(value, text, known, kind, inherited) for name, value in written}
        return construct(cls, fields, text, inherited)
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_build(item, text, known, kind, inherited) for item in node.elts)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):  # TypeError: a set or a dictionary of what cannot be hashed
        raise ValueError(
            f"in the {kind} {text}: {_abbreviate(ast.unparse(node))} is neither a literal nor a spec"
        ) from None


def _lookup(name: str, known: Mapping[str, Callable[..., Any]], kind: str) -> Callable[..., Any]:
    if name not in known:
        raise ValueError(f"unknown {kind} {_abbreviate(name)}.{suggest_name(name, known)} Known: {', '.join(known)}")
    return known[name]


def construct(
    cls: Callable[..., Any], fields: dict[str, Any], text: str, inherited: Mapping[str, Any] | None = None
) -> Any:
    """Construct a spec, with errors of ours for unknown, missing and incalculable fields."""
    name = getattr(cls, "__name__", str(cls))
    declared = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls))}
    for field in fields:
        if field not in declared:
            hint = suggest_name(field, declared)
            raise ValueError(f"{name} has no field {_abbreviate(field)}.{hint} It has: {', '.join(declared)}")
    missing = [n for n, f in declared.items() if f.default is dataclasses.MISSING and n not in fields]
    fields = fields | {n: inherited[n] for n in missing if inherited and n in inherited}
    missing = [n for n in missing if n not in fields]
    if missing:
        raise ValueError(f"{text}: {name} needs {', '.join(m + '=' for m in missing)}")
    try:
        return cls(**fields)
    except ArithmeticError as error:
        raise ValueError(f"{text}: {name} cannot be computed from these values: {error}") from None


def split_list(text: str, separator: str) -> list[str]:
    """Split a list of specs at separators outside of brackets, strip the parts and drop empty ones."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]
