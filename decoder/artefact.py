"""A model artefact: a folder with two graphs, their description and one reference to check by.

    model.json               description (`Manifest`) with a SHA-256 of every other file
    extract.onnx             LR frame -> features, run once a frame
    fuse.grid_sample.onnx    features of a window -> HR planes, for engines without DeformConv
    fuse.deform_conv.onnx    the same network with the ONNX operator DeformConv (opset 19)
    fuse.int8.onnx           the same with convolutions in 8 bits; not every model has it
    reference.npz            one small window of LR frames and the HR planes expected from it

Graph inputs and outputs: `extract` takes `y` uint8 (H, W), `u` and `v` uint8 (H/2, W/2) and
`quantiser` float32 (1,), and gives `f0`, `f1`, ... float32; `fuse` takes any of `w{i}_f{k}`
(feature k of window position i, oldest first) and gives `y`, `u`, `v` uint8, `scale` times larger.
"""

from __future__ import annotations

import hashlib
import json
import logging
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal

from decoder.artefact_reference import Reference
from stream.errors import ConfigError, ModelMismatch

log = logging.getLogger(__name__)

MODELS_FOLDER = Path(__file__).parent / "models"
MANIFEST_FILE = "model.json"
EXTRACT_FILE = "extract.onnx"
REFERENCE_FILE = "reference.npz"

FuseForm = Literal["grid_sample", "deform_conv", "int8"]


def fuse_file(form: FuseForm) -> str:
    """File name of the fuse graph in one of its forms."""
    return f"fuse.{form}.onnx"


GRAPH_FILES = (EXTRACT_FILE, fuse_file("grid_sample"), fuse_file("deform_conv"))
INT8_FILE = fuse_file("int8")
"""In a model's folder only where it was found to be good enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What model.json says.

    tier: size class, for example "live-xs"; scale: HR width / LR width.
    window: frames a fuse sees; lookahead: how many of them lie after the reference.
    multiple_of: LR width and height must be multiples of it (frames are padded to that).
    features: how many feature tensors `extract` gives.
    tolerance_levels: largest difference from the reference output, in 8-bit levels, in float32.

    Raises ConfigError when the values contradict each other.
    """

    name: str
    version: str
    tier: str
    scale: int
    window: int
    lookahead: int
    multiple_of: int
    inputs: tuple[str, ...]
    features: int
    colour: str
    codecs: tuple[str, ...]
    trained_on: str
    licence: str
    sha256: Mapping[str, str]
    tolerance_levels: int = 1

    def __post_init__(self) -> None:
        for name in ("scale", "window", "multiple_of", "features"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model {self.name}: {name} must be at least 1")
        if not 0 <= self.lookahead < self.window:
            raise ConfigError(
                f"model {self.name}: lookahead {self.lookahead} does not fit"
                f" a window of {self.window}"
            )
        if self.multiple_of % 2:
            raise ConfigError(f"model {self.name}: multiple_of must be even, as 4:2:0 frames are")
        if not self.name or set(self.name) & set("/\\"):
            raise ConfigError(f"a model cannot be called {self.name!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """A model folder and its manifest."""

    folder: Path
    manifest: Manifest

    @property
    def extract_path(self) -> Path:
        """The graph that runs once a frame."""
        return self.folder / EXTRACT_FILE

    def fuse_path(self, form: FuseForm) -> Path:
        """The graph that runs once a window."""
        return self.folder / fuse_file(form)

    @property
    def sha256(self) -> str:
        """Stands for all of its files, 64 hexadecimal digits; what is made for it names it so."""
        files = sorted(self.manifest.sha256.items())
        return _sha256("".join(f"{digest}  {name}\n" for name, digest in files).encode())

    @property
    def has_int8(self) -> bool:
        """Whether there is a form in 8 bits."""
        return INT8_FILE in self.manifest.sha256

    def extract_graph(self) -> bytes:
        """The graph that runs once a frame, as an ONNX file."""
        return self.extract_path.read_bytes()

    def fuse_graph(self, form: FuseForm) -> bytes:
        """The graph that runs once a window, as an ONNX file."""
        return self.fuse_path(form).read_bytes()

    def reference(self) -> Reference:
        """The window to check an engine by. Raises ModelMismatch when it is unusable."""
        reference = Reference.load(self.folder / REFERENCE_FILE)
        reference.check_shapes(
            window=self.manifest.window,
            scale=self.manifest.scale,
            multiple_of=self.manifest.multiple_of,
        )
        return reference

    def verify(self) -> None:
        """Compare every file with its SHA-256.

        Raises ModelMismatch when a file differs, is missing or has no hash.
        """
        for name in (*GRAPH_FILES, REFERENCE_FILE):
            if name not in self.manifest.sha256:
                raise ModelMismatch(f"model {self.folder}: {MANIFEST_FILE} has no hash of {name}")
        for name, expected in self.manifest.sha256.items():
            try:
                found = _sha256((self.folder / name).read_bytes())
            except OSError as error:
                raise ModelMismatch(
                    f"model {self.folder}: cannot read {name}: {error.strerror}"
                ) from error
            if found != expected:
                raise ModelMismatch(
                    f"model {self.folder}: {name} is not the file it was published with"
                    f" (SHA-256 {found[:12]}…, expected {expected[:12]}…)"
                )


def load_artefact(folder: Path) -> Artefact:
    """Read and verify a model folder.

    Raises ConfigError when there is no readable description, ModelMismatch when a file is damaged.
    """
    artefact = _describe(folder)
    artefact.verify()
    return artefact


def list_artefacts(folder: Path = MODELS_FOLDER) -> list[Artefact]:
    """The models in `folder` by name, not yet verified; unreadable ones are logged."""
    found = []
    for path in sorted(folder.glob(f"*/{MANIFEST_FILE}")):
        try:
            found.append(_describe(path.parent))
        except ConfigError as error:
            log.warning("%s", error)
    return found


def find_artefact(name_or_path: str, folder: Path = MODELS_FOLDER) -> Artefact:
    """The verified model of this name, or in this folder.

    Raises ConfigError for an unknown name (it lists the known ones), ModelMismatch when damaged.
    """
    for candidate in (Path(name_or_path), folder / name_or_path):
        if (candidate / MANIFEST_FILE).is_file():
            return load_artefact(candidate)
    known = ["auto", "lanczos", *(artefact.manifest.name for artefact in list_artefacts(folder))]
    raise ConfigError(
        f"unknown model {name_or_path!r}; known: {', '.join(known)}, or the path of a model folder"
    )


def write_artefact(
    folder: Path, manifest: Manifest, *, graphs: Mapping[str, bytes], reference: Reference
) -> Artefact:
    """Write a model folder; the hashes in `manifest` are replaced by those of the files written.

    `graphs` holds the ONNX file of each name in `GRAPH_FILES`, and may hold `INT8_FILE`. The
    description is written last, so an interrupted export is never taken for a model. Raises
    ConfigError when a graph is missing.
    """
    missing = set(GRAPH_FILES) - set(graphs)
    if missing:
        raise ConfigError(f"model {manifest.name} lacks {', '.join(sorted(missing))}")
    files = {**graphs, REFERENCE_FILE: reference.to_npz()}
    manifest = replace(manifest, sha256={name: _sha256(data) for name, data in files.items()})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_FILE).unlink(missing_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    description = json.dumps(asdict(manifest), indent=2, ensure_ascii=False)
    (folder / MANIFEST_FILE).write_text(description + "\n", encoding="utf-8")
    artefact = Artefact(folder=folder, manifest=manifest)
    artefact.reference()
    return artefact


def _describe(folder: Path) -> Artefact:
    path = folder / MANIFEST_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{folder} is not a model: {error.strerror}: {path}") from error
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError
        raise ConfigError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold one JSON object")
    return Artefact(folder=folder, manifest=_manifest_from(values, path))


def _manifest_from(values: Mapping[str, object], path: Path) -> Manifest:
    """Check types field by field; keys this version does not know are ignored."""
    wanted = typing.get_type_hints(Manifest)
    known: dict[str, typing.Any] = {}  # Any: checked against the field's type just below
    for field in fields(Manifest):
        if field.name not in values:
            if field.name == "tolerance_levels":
                continue
            raise ConfigError(f"{path} lacks {field.name!r}")
        value = values[field.name]
        hint = wanted[field.name]
        if typing.get_origin(hint) is tuple and _all_strings(value, list):
            known[field.name] = tuple(typing.cast(list[str], value))
        elif hint in (int, str) and type(value) is hint:
            known[field.name] = value
        elif field.name == "sha256" and _all_strings(value, dict):
            hashes = typing.cast(dict[str, str], value)
            if any(Path(name).name != name for name in hashes):
                raise ConfigError(f"{path}: sha256 may name only files in the model's folder")
            known[field.name] = dict(hashes)
        else:
            raise ConfigError(f"{path}: {field.name} is {value!r}, which has the wrong type")
    return Manifest(**known)


def _all_strings(value: object, container: type[list[str]] | type[dict[str, str]]) -> bool:
    if not isinstance(value, container):
        return False
    items = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    return all(isinstance(item, str) for item in items)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
