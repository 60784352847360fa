"""Which modules every file of the project imports, read from its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PRODUCT = ("stream", "encoder", "decoder")
PACKAGES = (*PRODUCT, "benchmarks")
TRAINING = ("decoder/edvr/", "decoder/training/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported module: where it stands and what it takes."""

    file: str
    line: int
    module: str
    is_at_top: bool
    is_for_types: bool

    @property
    def library(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def imports_of(source: str, file: str) -> Iterator[Import]:
    """Every import of `source`, whose path from the root is `file`, also inside functions."""

    def walk(node: ast.AST, *, is_at_top: bool, is_for_types: bool) -> Iterator[Import]:
        for module in modules_named_by(node, file):
            assert isinstance(node, ast.Import | ast.ImportFrom)
            yield Import(
                file=file,
                line=node.lineno,
                module=module,
                is_at_top=is_at_top,
                is_for_types=is_for_types,
            )
        in_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            yield from walk(
                child,
                is_at_top=is_at_top and not in_function,
                is_for_types=is_for_types or typing_only,
            )

    yield from walk(ast.parse(source, file), is_at_top=True, is_for_types=False)


def modules_named_by(node: ast.AST, file: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        if node.level == 0:
            return [f"{node.module}.{alias.name}" for alias in node.names]
        package = Path(file).parts[: -node.level]
        return [".".join((*package, node.module or ""))]
    if (
        isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    ):
        raise AssertionError(f"{file}:{node.lineno} hides an import from this test")
    return []


def all_imports(*packages: str) -> list[Import]:
    return [
        found
        for package in packages
        for path in sorted((ROOT / package).rglob("*.py"))
        for found in imports_of(path.read_text(), path.relative_to(ROOT).as_posix())
    ]
