"""`tools.english` on files written for it, and on the files of the repository that must be clean."""

import pytest

from tools import english

BAD = '''
"""The run goes on.

It is a long text that is
made-up, and `goes on` in code is fine.
"""

# What a query
# sees is not said.
ERROR = "x is refused"
NAME = "mends"


def f():
    """Is this what a user expects? Nats a token."""
'''


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def found(path):
    return sorted((finding.line, finding.phrase) for finding in english.find_phrases(path))


def test_phrases_are_found_in_docstrings_comments_and_messages_with_their_lines(write):
    assert found(write("x.py", BAD)) == [
        (2, "goes on"),
        (5, "made-up"),
        (8, "What a"),
        (10, "is refused"),
        (15, "Nats a token"),
    ]


def test_code_and_targets_of_links_are_not_prose_in_markdown(write):
    text = (
        "A run\ngoes\non.\n\n```\ngoes on\n```\n\n    goes on\n\n`goes on`, [a](goes on)\n\nOf these, two. Of course.\n"
    )
    assert found(write("x.md", text)) == [(2, "goes\non"), (13, "Of ")]


def test_a_finding_says_where_it_is_and_what_to_write(write):
    path = write("x.md", "\nThis mends it.\n")
    assert str(english.find_phrases(path)[0]) == f"{path}:2: 'mends'; write: fixes"


def test_the_command_fails_on_findings_only(write, capsys):
    english.main([str(write("good.md", "The run resumes.\n"))])
    assert not capsys.readouterr().out
    with pytest.raises(SystemExit, match="1 phrase"):
        english.main([str(write("bad.md", "The run goes on.\n"))])
    assert "bad.md:1: 'goes on'" in capsys.readouterr().out


def test_a_listed_file_that_is_not_there_is_named(monkeypatch, write):
    monkeypatch.setattr(english, "DONE_LIST", write("done.txt", "# done\nno/such/file.py\n"))
    with pytest.raises(ValueError, match=r"no/such/file\.py"):
        english.done_files()


def test_the_files_listed_as_done_have_no_phrases_to_avoid():
    assert [str(finding) for path in english.done_files() for finding in english.find_phrases(path)] == []
