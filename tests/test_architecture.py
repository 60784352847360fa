"""The arrows between packages, and what may be imported where."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.source_imports import PACKAGES, PRODUCT, ROOT, TRAINING, all_imports, imports_of

MAY_IMPORT = {
    "stream": {"stream"},
    "encoder": {"encoder", "stream"},
    "decoder": {"decoder", "stream"},
    "benchmarks": {"benchmarks", "decoder", "encoder", "stream"},
}
TRAINING_LIBRARIES = {"torch", "onnx", "onnxscript", "tensorboard"}
NETWORK_LIBRARIES = {"aiortc", "aioice", "aiohttp"}
NETWORK_FILES = {
    f"stream/{name}.py"
    for name in (
        *("codecs_registry", "peer", "peer_connection", "tracks", "dtls"),  # aiortc
        *("coded_sender", "viewing_peer", "weight_channel", "sender_reports"),  # aiortc
        *("sending_transport", "receiving_transport", "transport_registry"),  # aiortc
        "ice_path",  # aioice
        *("http_front", "whip_client"),  # aiohttp
    )
}
INFERENCE_LIBRARIES = {"onnxruntime", "openvino", "tensorrt_rtx"}
PURE = (
    *("errors", "frame", "timing", "config", "stats", "rtp_*", "sdp_*", "nack"),
    *("whip", "whep", "whep_server", "session_table", "signalling"),
)
IMPURE_LIBRARIES = {"asyncio", "av", "selectors", "socket", "subprocess", "threading", "time"}
LONGEST_FILE_LINES = 300


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


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def impurities(files: set[str]) -> list[str]:
    return [
        str(each)
        for each in all_imports(*PRODUCT)
        if each.file in files and each.library in IMPURE_LIBRARIES | NETWORK_LIBRARIES
    ]


def test_the_rules_of_the_transport_have_no_clock_thread_socket_or_event_loop() -> None:
    found = {name: list((ROOT / "stream").glob(f"{name}.py")) for name in PURE}
    assert [name for name, paths in found.items() if not paths] == []
    files = {path.relative_to(ROOT).as_posix() for paths in found.values() for path in paths}
    assert impurities(files) == []


def test_modules_that_call_themselves_pure_are_pure() -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PRODUCT
        for path in (ROOT / package).rglob("*.py")
        if re.search(
            r"\b[Pp]ure\b|without I/O", ast.get_docstring(ast.parse(path.read_text())) or ""
        )
    }
    assert len(files) >= 20
    assert impurities(files) == []


def test_a_network_file_that_touches_no_networking_library_is_not_named_as_one() -> None:
    touching = {each.file for each in all_imports("stream") if each.library in NETWORK_LIBRARIES}
    assert touching >= NETWORK_FILES


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
