"""Find the error codes and findings in the source, so that a new one without an entry is noticed.

Needs nothing but the standard library: the tests use it without Sphinx.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
SOURCE = DOCS.parent / "src" / "foveal"
ENTRY = re.compile(r"^### `(\w+)`$", re.M)
# What a finding may be about; its name is this, a dot and a word.
_FINDING = re.compile(
    r"(arrays|data|evaluate|fonts|images|install|labels|machine|masks|names|plugin|polygons|split"
    r"|table|texts|weights)\.(?!csv$|tsv$|txt$|jsonl?$|ndjson$|safetensors$)[a-z_]+"
)
_FINDING_ROW = re.compile(r"^\| `([a-z]+\.[a-z_]+)` \|", re.M)
_RECIPE_KEYS = {"data.group_regex", "data.label_regex"}


@dataclass(frozen=True)
class Code:
    """An error code and where it comes from.

    Attributes:
        name: The code.
        error: Name of the error class.
        exit_status: What the command line leaves with.
        http_status: What a server answers with.
    """

    name: str
    error: str
    exit_status: int
    http_status: int


def error_codes() -> dict[str, Code]:
    """Return every code that the source names: of an error class, or given where one is raised."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in SOURCE.rglob("*.py")]
    classes = _error_classes(trees)
    codes = {c["code"]: _code(str(c["code"]), name, classes) for name, c in classes.items()}
    for tree in trees:
        for name, error in _given(tree, classes):
            codes.setdefault(name, _code(name, error, classes))
    return {name: codes[name] for name in sorted(codes)}


def documented_codes() -> list[str]:
    """Return the codes that have an entry on the page of errors."""
    return ENTRY.findall((DOCS / "reference" / "errors.md").read_text(encoding="utf-8"))


def finding_names() -> list[str]:
    """Return the name of every finding that the source gives to a function."""
    names = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
                values = [value.value for value in given if isinstance(value, ast.Constant)]
                names |= {v for v in values if isinstance(v, str) and _FINDING.fullmatch(v)}
    return sorted(names - _RECIPE_KEYS)


def documented_findings() -> list[str]:
    """Return the findings that have a row on the page of findings."""
    page = (DOCS / "reference" / "findings.md").read_text(encoding="utf-8")
    return sorted(_FINDING_ROW.findall(page))


def _code(name: str, error: str, classes: dict[str, dict[str, object]]) -> Code:
    values = classes[error]
    return Code(name, error, int(str(values["exit_status"])), int(str(values["http_status"])))


def _error_classes(trees: list[ast.Module]) -> dict[str, dict[str, object]]:
    """Return class name → `code`, `exit_status` and `http_status`, inherited ones too."""
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found: dict[str, dict[str, object]] = {}
    grown = True
    while grown:
        grown = False
        for node in nodes:
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            known = [base for base in bases if base in found]
            if node.name in found or not (known or node.name == "FovealError"):
                continue
            found[node.name] = {**(found[known[0]] if known else {}), **_constants(node)}
            grown = True
    return found


def _constants(node: ast.ClassDef) -> dict[str, object]:
    values: dict[str, object] = {}
    for line in node.body:
        target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
        value = getattr(line, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
            values[target.id] = value.value
    return values


def _given(tree: ast.Module, classes: dict[str, dict[str, object]]) -> Iterator[tuple[str, str]]:
    """Yield (code, class) for every `SomeError(…, code="…")`, where each is a plain name."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        for keyword in node.keywords:
            if keyword.arg == "code" and node.func.id in classes:
                for value in ast.walk(keyword.value):
                    if isinstance(value, ast.Constant) and isinstance(value.value, str):
                        yield value.value, node.func.id
