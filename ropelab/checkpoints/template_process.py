"""Renders one chat template in a separate process with limits on time and memory.

A chat template is a program from a checkpoint. Jinja's sandbox blocks files and attributes, but not nested loops like
`{% for i in range(99999) %}` or `'a' * 10**10`. The operating system limits these for a process.

`prompts` runs this file with `python -P`. It does not import ropelab, so that it starts in a tenth of a second.

    stdin   {"template": ..., "variables": {...}, "most": letters}
    stdout  {"text": ...} or {"error": ...}
"""

import contextlib
import json
import resource
import sys

SECONDS = 2  # of computation
MEMORY = 256 * 2**20  # bytes of address space


def limit() -> None:
    """Limit the CPU time of this process to `SECONDS` and its memory to `MEMORY`."""
    for kind, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # a lower limit is set, or the system has none
            resource.setrlimit(kind, (most, most))


def render(template: str, variables: dict[str, object], most: int) -> dict[str, str]:
    """Render a template; return its text, or any error that its expressions raise."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    try:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        text = environment.from_string(template).render(variables)
        text.encode()  # half of a surrogate pair is in no vocabulary
    except Exception as error:
        return {"error": f"{type(error).__name__}: {str(error)[:500]}"}
    if len(text) > most:
        return {"error": f"it writes {len(text)} characters, {most} are allowed"}
    return {"text": text}


def main() -> None:
    """Read a request from stdin and write the answer to stdout."""
    request = json.load(sys.stdin)
    limit()
    json.dump(render(request["template"], request["variables"], request["most"]), sys.stdout)


if __name__ == "__main__":
    main()
