"""The arrows between packages, what may be imported where, and what a distribution contains."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("stream", "encoder", "decoder", "benchmarks")
PRODUCT = ("stream", "encoder", "decoder")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

MAY_IMPORT = {
    "stream": {"stream"},
    "encoder": {"encoder", "stream"},
    "decoder": {"decoder", "stream"},
    "benchmarks": {"benchmarks", "decoder", "encoder", "stream"},
}
TRAINING = ("decoder/edvr/", "decoder/training/")
TRAINING_LIBRARIES = {"torch", "onnx", "onnxscript", "tensorboard"}
NETWORK_LIBRARIES = {"aiortc", "aiohttp"}
NETWORK_FILES = {
    f"stream/{name}.py"
    for name in ("codecs_registry", "peer", "tracks", "http_server", "whip_client")
}
INFERENCE_LIBRARIES = {"onnxruntime", "openvino", "tensorrt_rtx"}
PURE = ("errors", "frame", "timing", "config", "stats", "whip", "whep", "rtp_*", "sdp_*", "nack")
IMPURE_LIBRARIES = {"asyncio", "av", "selectors", "socket", "subprocess", "threading", "time"}
LONGEST_FILE_LINES = 300
IMPORT_NAME = {"pillow": "PIL", "tensorrt-rtx-cu13": "tensorrt_rtx"}
EXTRA_OF = {
    "train": TRAINING,
    "tensorrt": ("decoder/backends/",),
    "srt": ("decoder/sinks/srt_gateway.py",),
    "bench": ("benchmarks/",),
}


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


def modules_of(package: str) -> list[str]:
    """Dotted names of all modules of a package, without those that only training needs."""
    files = (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / package).rglob("*.py")))
    return [
        file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for file in files
        if not file.startswith(TRAINING)
    ]


def test_the_walk_sees_imports_wherever_they_hide() -> None:
    source = (
        "import decoder.window\n"
        "from . import sibling\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from encoder import capture\n"
        "class Lazy:\n    def load(self):\n        import torch.nn\n"
    )
    found = {
        (each.module, each.is_at_top, each.is_for_types)
        for each in imports_of(source, "stream/example.py")
    }
    assert found == {
        ("decoder.window", True, False),
        ("stream.", True, False),
        ("typing.TYPE_CHECKING", True, False),
        ("encoder.capture", True, True),
        ("torch.nn", False, False),
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_in_the_direction_of_the_arrows(package: str) -> None:
    ours = {*PACKAGES, "tests"}
    forbidden = ours - MAY_IMPORT[package]
    assert [str(each) for each in all_imports(package) if each.library in forbidden] == []


def test_training_libraries_are_imported_by_the_network_and_its_training_alone() -> None:
    assert [
        str(each)
        for each in all_imports(*PACKAGES)
        if each.library in TRAINING_LIBRARIES and not each.file.startswith(TRAINING)
    ] == []


def test_the_networking_libraries_are_touched_by_the_named_files_alone() -> None:
    assert [
        str(each)
        for each in all_imports(*PRODUCT)
        if each.library in NETWORK_LIBRARIES and each.file not in NETWORK_FILES
    ] == []


def test_inference_libraries_are_imported_inside_functions_of_backends_alone() -> None:
    assert [
        str(each)
        for each in all_imports(*PRODUCT)
        if each.library in INFERENCE_LIBRARIES
        and not each.is_for_types
        and (each.is_at_top or not each.file.startswith("decoder/backends/"))
    ] == []


def test_pure_modules_have_no_clock_thread_socket_or_event_loop() -> None:
    pure = {
        path.relative_to(ROOT).as_posix()
        for name in PURE
        for path in (ROOT / "stream").glob(f"{name}.py")
    }
    assert len(pure) >= 7
    assert [
        str(each)
        for each in all_imports("stream")
        if each.file in pure and each.library in IMPURE_LIBRARIES | NETWORK_LIBRARIES
    ] == []


@pytest.mark.parametrize("package", PRODUCT)
def test_sending_and_receiving_load_neither_torch_nor_an_inference_library(package: str) -> None:
    program = (
        "import importlib, json, sys\n"
        f"for name in {modules_of(package)!r}: importlib.import_module(name)\n"
        "json.dump(sorted({name.partition('.')[0] for name in sys.modules}), sys.stdout)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 0, finished.stderr
    loaded = set(json.loads(finished.stdout))
    assert package in loaded
    assert loaded & (TRAINING_LIBRARIES | INFERENCE_LIBRARIES) == set()


def test_files_stay_short_enough_to_hold_one_concept() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    assert {file: n for file, n in lengths.items() if n > LONGEST_FILE_LINES} == {}


def test_the_distribution_lists_every_package_and_no_other() -> None:
    listed = PROJECT["tool"]["setuptools"]["packages"]
    present = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    assert sorted(listed) == sorted(present)
    assert [
        name for name in listed if not (ROOT / name.replace(".", "/") / "__init__.py").is_file()
    ] == []


def test_the_distribution_contains_every_file_that_is_not_python() -> None:
    listed = PROJECT["tool"]["setuptools"]["package-data"]
    contained = {
        path
        for package, patterns in listed.items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    present = {
        path
        for package in PRODUCT
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert {path.relative_to(ROOT).as_posix() for path in present - contained} == set()
    assert {f"{package}/py.typed" for package in PRODUCT} <= {
        path.relative_to(ROOT).as_posix() for path in contained
    }


def declared(*extras: str) -> set[str]:
    """Import names of the libraries that the base dependencies and `extras` declare."""
    optional = PROJECT["project"]["optional-dependencies"]
    requirements = [*PROJECT["project"]["dependencies"], *(r for e in extras for r in optional[e])]
    return {IMPORT_NAME.get(name, name.replace("-", "_")) for name in map(name_in, requirements)}


def name_in(requirement: str) -> str:
    """The normalised name that a requirement starts with (PEP 508, PEP 503)."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def test_every_imported_library_is_declared_where_its_users_install_it() -> None:
    undeclared = []
    for each in all_imports(*PACKAGES):
        extras = [extra for extra, places in EXTRA_OF.items() if each.file.startswith(places)]
        if each.library not in {*sys.stdlib_module_names, *PACKAGES} | declared(*extras):
            undeclared.append(str(each))
    assert undeclared == []


@pytest.mark.parametrize("command", sorted(PROJECT["project"]["scripts"]))
def test_each_installed_command_has_its_function(command: str) -> None:
    module, _, function = PROJECT["project"]["scripts"][command].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_lock_covers_every_declared_library_but_those_for_nvidia_gpus() -> None:
    locked = {
        name_in(line)
        for line in (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
        if re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)
    }
    wanted = list(PROJECT["project"]["dependencies"])
    for extra, requirements in PROJECT["project"]["optional-dependencies"].items():
        wanted += [] if extra == "tensorrt" else requirements
    assert {name_in(requirement) for requirement in wanted} - locked == set()
