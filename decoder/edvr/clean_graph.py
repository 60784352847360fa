"""Graphs without what the exporter remembers of the machine that it ran on."""

from __future__ import annotations

from pathlib import Path

import onnx


def remove_origins(path: Path) -> None:
    """Take file names, stack traces and notes out of an ONNX file; what it computes stays."""
    model = onnx.load(path)
    model.doc_string = ""
    del model.metadata_props[:]
    _clean(model.graph)
    onnx.save(model, path)


def _clean(graph: onnx.GraphProto) -> None:
    graph.doc_string = ""
    del graph.metadata_props[:]
    for part in (
        *graph.node,
        *graph.value_info,
        *graph.input,
        *graph.output,
        *graph.initializer,
    ):
        part.doc_string = ""
        del part.metadata_props[:]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _clean(attribute.g)
