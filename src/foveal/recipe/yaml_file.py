"""Read YAML files that people write: recipes, search spaces, collections."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from foveal.errors import RecipeError


def read_mapping(
    path: Path, what: str, *, expected: str, hint: str, code: str | None = None
) -> dict[Any, Any]:
    """Return the mapping in a YAML file.

    Args:
        path: The file; UTF-8, with or without a byte order mark.
        what: What it is, for messages: `recipe`.
        expected: What it should contain, for messages.
        hint: What to do if it cannot be read.
        code: Error code; None takes that of recipes.

    Raises:
        RecipeError: If the file cannot be read, is not YAML, has a key twice, or is not a mapping.
            The message is one line, which names the file.
    """
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)  # noqa: S506  # It is safe.
    except OSError as error:
        problem = f"Cannot read the {what} {path}: {error.strerror}."
        raise RecipeError(problem, hint=hint, code=code) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"The {what} {path} is not UTF-8.", hint=hint, code=code) from error
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        problem = f"The {what} {path} is not YAML: {_one_line(error)}."
        raise RecipeError(problem, hint=hint, code=code) from error
    if not isinstance(loaded, dict):
        is_empty = "is empty" if loaded is None else "is a list or a value"
        raise RecipeError(
            f"The {what} {path} {is_empty}. Expected {expected}.", hint=hint, code=code
        )
    return loaded


class _Loader(yaml.SafeLoader):
    """Refuses a key that comes twice: the first of two values would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return the mapping of a node."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for i, key in enumerate(keys) if key in keys[:i] and key != "<<"]
        if twice:
            problem = f"the key {twice[0]!r} occurs twice"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error) or type(error).__name__
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    return where + " ".join(str(problem).split()).rstrip(".")
