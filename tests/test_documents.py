"""Documents tell the truth: code in README.md and docs/ runs, and so does every docstring example.

In a document, fenced blocks are run by what their first line says:

    ```python      run, in order, in one namespace per document, in an empty directory
    ```bash run    run as well, at its place between the python blocks
    ```bash        not run; its programs, subcommands, options and make targets must exist

Other languages (text, toml, console, ...) are not touched.
"""

import doctest
import functools
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

# Warnings are errors here too; arviz 0.x announces its 1.0 on import.
PYTHON = [sys.executable, "-W", "error", "-W", "ignore::FutureWarning:arviz"]


class Block(NamedTuple):
    """A fenced block: its info string, the line number of its first line, its text."""

    info: str
    line: int
    text: str


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a Markdown text."""
    found = re.finditer(r"^```([^\n`]*)\n(.*?)^```[ \t]*$", text, re.MULTILINE | re.DOTALL)
    return [
        Block(" ".join(match[1].split()), text.count("\n", 0, match.start(2)) + 1, match[2])
        for match in found
    ]


def with_blocks(*infos: str) -> list:
    """The documents that have such a block, as test parameters."""
    return [
        pytest.param(path, id=str(path.relative_to(ROOT)))
        for path in DOCUMENTS
        if path.exists() and any(block.info in infos for block in blocks(path.read_text()))
    ]


def environment() -> dict[str, str]:
    """The environment of a reader: installed commands on the path, figures to files."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "MPLBACKEND": "Agg", "COLUMNS": "200", "NO_COLOR": "1"}


def as_script(text: str) -> str:
    """The document as one Python program in which every line keeps its number."""
    lines = [""] * (text.count("\n") + 1)
    for block in blocks(text):
        if block.info == "python":
            code = block.text.splitlines()
        elif block.info == "bash run":
            command = ["bash", "-euo", "pipefail", "-c", block.text]
            code = [f"__import__('subprocess').run({command!r}, check=True)"]
        else:
            continue
        lines[block.line - 1 : block.line - 1 + len(code)] = code
    return "\n".join(lines)


def run_document(path: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a document's code as a script of its own, the way a reader would."""
    script = directory / f"{path.stem}.py"
    script.write_text(as_script(path.read_text()))
    return subprocess.run(
        [*PYTHON, script.name], cwd=directory, env=environment(), capture_output=True, text=True
    )


@pytest.mark.parametrize("path", with_blocks("python", "bash run"))
def test_code_runs(path, tmp_path):
    done = run_document(path, tmp_path)
    assert done.returncode == 0, f"{path.name} (line numbers are its own)\n{done.stderr}"


# --- the table of the course ----------------------------------------------------------------------


def test_course_names_exist():
    """Every name in its tables is a check of validation, a file, or something to import."""
    from validation.checks import all_checks

    checks = {check.name for check in all_checks()}
    text = (ROOT / "docs" / "course.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    names = {name for row in rows for name in re.findall(r"`([\w./-]+)`", row)}
    assert len(names) > 50
    missing = []
    for name in names - checks - {"reduced_energy"}:
        if name.endswith(".py"):
            found = (ROOT / name).is_file()
        else:
            parts = name.split(".")
            found = any(_reachable(parts[:n], parts[n:]) for n in range(len(parts), 0, -1))
        if not found:
            missing.append(name)
    assert missing == []


def _reachable(module: list[str], attributes: list[str]) -> bool:
    try:
        functools.reduce(getattr, attributes, importlib.import_module(".".join(module)))
    except (ImportError, AttributeError):
        return False
    return True


# --- commands that are shown, not run -------------------------------------------------------------


@functools.cache
def help_text(*command: str) -> str:
    """What `command --help` prints; fails where the command does not exist."""
    done = subprocess.run(
        [*command, "--help"], env=environment(), capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, f"{shlex.join(command)} --help\n{done.stdout}{done.stderr}"
    return done.stdout


def commands(text: str) -> list[list[str]]:
    """Shell lines as words, continuation lines joined, comments and prompts dropped."""
    joined = text.replace("\\\n", " ")
    parts = [part for line in joined.splitlines() for part in re.split(r";|&&", line)]
    return [words for part in parts if (words := shlex.split(part, comments=True))]


def unknown_in(words: list[str]) -> list[str]:
    """The parts of a shown command that do not exist: options, subcommands, make targets."""
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    if words[0] == "ising-data":
        helped = (
            help_text(*words[:2]) if len(words) > 1 and words[1][0] != "-" else help_text(words[0])
        )
    elif words[:3] == ["python", "-m", "validation"]:
        helped = help_text(*words[:3])
    elif words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word]
        makefile = (ROOT / "Makefile").read_text()
        return [word for word in targets if not re.search(rf"^{word}:", makefile, re.MULTILINE)]
    else:
        return []
    known = set(re.findall(r"--[a-z][a-z-]*", helped))
    return [option for option in options if option not in known]


@pytest.mark.parametrize("path", with_blocks("bash"))
def test_commands_exist(path):
    shown = [block.text for block in blocks(path.read_text()) if block.info == "bash"]
    unknown = {
        shlex.join(words): missing
        for text in shown
        for words in commands(text)
        if (missing := unknown_in(words))
    }
    assert unknown == {}


# --- docstrings -----------------------------------------------------------------------------------


def modules() -> list[str]:
    """Every module of the three packages, by its file."""
    names = []
    for package in ("statmech_ml", "ising_data", "validation"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[-1] != "__main__":
                names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    results = doctest.testmod(importlib.import_module(name), optionflags=flags, report=True)
    assert results.failed == 0, f"{results.failed} of {results.attempted} examples, see stdout"


# --- the tests above see what they should ---------------------------------------------------------

EXAMPLE = """\
Text.

```python
x = 1
```

```bash run
echo 7 > seven
```

```bash
ising-data generate --no-such-option  # shown
make no-such-target VENV=x && make demo
```

```text
not code
```

```python
assert open("seven").read() == "7\\n"
assert x == 2, "wrong"
```
"""


def test_wrong_document_is_rejected(tmp_path):
    """Blocks share a namespace and a directory, run in order, and fail at the document's line."""
    path = tmp_path / "example.md"
    path.write_text(EXAMPLE)
    done = run_document(path, tmp_path)
    assert done.returncode == 1
    assert "line 22" in done.stderr
    assert "AssertionError: wrong" in done.stderr
    path.write_text(EXAMPLE.replace("x = 1", "x = 2"))
    assert run_document(path, tmp_path).returncode == 0


def test_wrong_commands_are_rejected():
    (shown,) = [block.text for block in blocks(EXAMPLE) if block.info == "bash"]
    unknown = [unknown_in(words) for words in commands(shown)]
    assert unknown == [["--no-such-option"], ["no-such-target"], []]
