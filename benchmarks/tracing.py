"""A recorder of the project's functions that run while one of them, the window, is on the stack."""

import ast
import inspect
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = (
    "distributed_training_index.py",
    "celery_app.py",
    "run.py",
    "commands",
    "helpers",
    "preprocessing",
    "tasks",
)
"""Files and folders that count; benchmarks and tests do not."""

Function = tuple[str, int]
"""A function's file, relative to the repository root, and its first line, decorators included."""


@dataclass
class Trip:
    """The functions of the project that one part of a round calls."""

    functions: set[Function] = field(default_factory=set)

    @property
    def files(self) -> set[str]:
        """The files that hold the functions."""
        return {file for file, _ in self.functions}

    @property
    def lines(self) -> set[tuple[str, int]]:
        """Every source line of the functions: what a reader has to read to follow the trip."""
        return {(file, line) for file, first in self.functions for line in lines_of(file, first)}

    def __or__(self, other: "Trip") -> Self:
        return type(self)(self.functions | other.functions)


class Tracer:
    """Follows this thread and records the functions called inside the window, which is among them.

    Lambdas and comprehensions belong to the function that holds them.

    Args:
        window: name of the function inside which calls are recorded.
        skipped: number of its calls that pass before the one that is recorded.
    """

    def __init__(self, window: str, skipped: int = 0) -> None:
        self.trip = Trip()
        self._window = window
        self._skipped = skipped
        self._is_open = False

    def start(self) -> None:
        """Follow the calls that this thread makes from now on."""
        sys.settrace(self._called)

    def stop(self) -> None:
        """Stop following."""
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Any:
        function = _function_of(frame.f_code)
        if function is None:
            return None
        is_window = frame.f_code.co_name == self._window
        if is_window and self._skipped >= 0:
            self._is_open = self._skipped == 0
            self._skipped -= 1
        if self._is_open:
            self.trip.functions.add(function)
        return self._returned if is_window else None

    def _returned(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "return":
            self._is_open = False
        return self._returned


@cache
def _function_of(code: CodeType) -> Function | None:
    """Return which function of the product this is; None for everything else."""
    path = Path(code.co_filename)
    is_function = code.co_flags & inspect.CO_OPTIMIZED and not code.co_name.startswith("<")
    if not is_function or not path.is_relative_to(ROOT):
        return None
    file = path.relative_to(ROOT)
    return (file.as_posix(), code.co_firstlineno) if file.parts[0] in PRODUCT else None


@cache
def lines_of(file: str, first: int) -> range:
    """Return the lines of the function that begins on line `first`, from its decorators to its end."""
    node = definition_of(file, first)
    assert node.end_lineno is not None  # ast.parse sets it
    return range(first, node.end_lineno + 1)


@cache
def definition_of(file: str, first: int) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """Return the syntax tree of the function whose decorators or definition begin on line `first`.

    Raises:
        LookupError: no function begins there.
    """
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            begin = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if begin == first:
                return node
    raise LookupError(f"{file}: no function begins on line {first}; the file has changed")
