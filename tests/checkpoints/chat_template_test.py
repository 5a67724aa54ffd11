"""A chat template is a program: whatever it does ends soon, in little memory, as a text or a `CheckpointError`."""

import dataclasses
import time

import pytest

from ropelab.checkpoints import CheckpointError, template_process
from ropelab.checkpoints.prompts import MAX_ADDED_CHARS, apply_chat_template
from ropelab.checkpoints.tokenizer import Tokenizer
from tests.models import tiny

NESTED = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


def with_template(template: str) -> Tokenizer:
    tokenizer = tiny.lab(tokenizer=True).tokenizer
    assert tokenizer is not None
    return dataclasses.replace(tokenizer, chat_template=template)


@pytest.mark.parametrize(
    ("template", "error"),
    [
        (NESTED, "seconds"),  # of computation, or on a busy machine of waiting
        ("{{ 'a' * 10**10 }}", "MemoryError"),
        ("{{ '%1000000000d'|format(1) }}", "MemoryError"),
        ("{{ messages|tojson(indent=10**9) }}", "MemoryError"),
        ("{{ 'a' * 2000000 }}", "2000000"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ 'a' + 1 }}", "TypeError"),
        ("{{ range(10**9) }}", "OverflowError"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("{% if 1 %}" * 3000 + "{% endif %}" * 3000, "RecursionError"),
        ("{{ '{0.a}'.format_map(1) }}", "IndexError"),
        ("{% include 'a' %}", "TypeError"),
        ("{% import 'a' as b %}", "TypeError"),
        ("{% extends 'a' %}", "TypeError"),
        ("{{ '\\ud800' }}", "UnicodeEncodeError"),
        ("{{ raise_exception('no') }}", "UndefinedError"),
        ("{% if %}", "TemplateSyntaxError"),
    ],
    ids=lambda value: value[:40],
)
def test_a_template_that_fails_or_has_no_end_is_refused(template: str, error: str) -> None:
    start = time.monotonic()
    with pytest.raises(CheckpointError, match=error):
        apply_chat_template(with_template(template), "hello")
    assert time.monotonic() - start < 5 * template_process.SECONDS


def test_a_long_message_may_be_written() -> None:
    message = "é\n" * MAX_ADDED_CHARS
    assert (
        apply_chat_template(with_template("{{ messages[0]['content'] }}{{ messages[0]['role'] }}"), message)
        == f"{message}user"
    )
