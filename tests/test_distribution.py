"""What a distribution contains, and that it declares what it needs."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib

import pytest

from tests.source_imports import PACKAGES, PRODUCT, ROOT, TRAINING, all_imports

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
IMPORT_NAME = {"pillow": "PIL", "tensorrt-rtx-cu13": "tensorrt_rtx"}
EXTRA_OF = {
    "train": TRAINING,
    "tensorrt": ("decoder/backends/",),
    "triton": ("decoder/backends/",),
    "camera": ("decoder/sinks/camera.py",),
    "srt": ("stream/srt_gateway.py",),
    "bench": ("benchmarks/", "decoder/training/"),
}


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
        if path.is_file()
        and path.suffix != ".py"
        and not {"__pycache__", "checkpoints"} & set(path.parts)  # training goes on from a copy
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


def test_the_lock_covers_every_declared_library() -> None:
    locked = {
        name_in(line)
        for line in (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
        if re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)
    }
    wanted = list(PROJECT["project"]["dependencies"])
    for requirements in PROJECT["project"]["optional-dependencies"].values():
        wanted += requirements
    assert {name_in(requirement) for requirement in wanted} - locked == set()
