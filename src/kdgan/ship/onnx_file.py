"""A student as an ONNX file: raw inputs in, probabilities out."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdgan.errors import failed, wrong
from kdgan.extras import needed
from kdgan.ship.raw import ABSENT, Arrays, RawForm
from kdgan.ship.raw_student import RawStudent

OUTPUT, BATCH = "probabilities", "N"
MOST_BYTES = 2**31 - 2**20
"""Bound of an ONNX file's weights, as its form cannot hold 2 GiB."""
AT_ONCE = 256


def exported(form: RawForm) -> torch.export.ExportedProgram:
    """The student as a program of torch, for any number of instances.

    Raises:
        RunError: for a module of one's own that torch cannot export.
    """
    module = RawStudent(form).eval()
    example = form.coded(form.of(form.plausible(2)))
    sizes = tuple({0: torch.export.Dim(BATCH, min=0)} for _ in example)
    try:
        with torch.no_grad(), quiet():
            program = torch.export.export(module, example, dynamic_shapes=(sizes,))
    except Exception as error:  # of any kind: a module may be anybody's own
        raise failed(error, "torch.export of this student's network") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of whoever exports
    return program


def write(form: RawForm, path: Path, notes: Mapping[str, str]) -> None:
    """Writes the student in float32, with `notes` as its metadata.

    Raises:
        UsageError: if an extra is missing, or the network is too large.
        RunError: for a module of one's own that cannot be exported.
    """
    onnx = needed("onnx", "export", "--format onnx")
    needed("onnxscript", "export", "--format onnx")
    held = sum(each.numel() * each.element_size() for each in form.student.module.state_dict().values())
    if held > MOST_BYTES:
        raise wrong(f"the network has {held:,} bytes of weights, and an ONNX file cannot hold 2 GiB")
    program = exported(form)
    try:
        with quiet():
            made: Any = torch.onnx.export(
                program,
                (),
                dynamo=True,
                input_names=[each.name for each in form.inputs],
                output_names=[OUTPUT],
                verbose=False,
            )
            model = made.model_proto
    except Exception as error:  # as above
        raise failed(error, "torch.onnx.export of this student's network") from error
    _plain(model)
    if form.codes:
        _take_texts(onnx, model, form)
    described(onnx, model, notes)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def described(onnx: Any, model: Any, notes: Mapping[str, str]) -> None:
    """Puts notes into a model's metadata."""
    from kdgan import __version__

    model.producer_name, model.producer_version = "kdgan", __version__
    onnx.helper.set_model_props(model, dict(notes))


def _plain(model: Any) -> None:
    """Leaves out where in which source file each operator came from, and gives the number of instances its name."""
    graph = model.graph
    symbols = {each.type.tensor_type.shape.dim[0].dim_param for each in graph.input} - {""}
    for each in (
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.node,
        *graph.initializer,
        graph,
        model,
    ):
        del each.metadata_props[:]
    for each in graph.node:
        each.doc_string = ""
    for each in (*graph.input, *graph.output, *graph.value_info):
        for size in each.type.tensor_type.shape.dim:
            if size.dim_param in symbols:
                size.dim_param = BATCH


def _take_texts(onnx: Any, model: Any, form: RawForm) -> None:
    """Makes categories an input of texts, whose codes the first operator finds."""
    graph, codes = model.graph, "category codes"
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == "categories":
                node.input[place] = codes
    given = next(each for each in graph.input if each.name == "categories")
    given.type.tensor_type.elem_type = onnx.TensorProto.STRING
    lookup = onnx.helper.make_node(
        "LabelEncoder",
        ["categories"],
        [codes],
        domain="ai.onnx.ml",
        keys_strings=[*form.codes],
        values_int64s=[*form.codes.values()],
        default_int64=ABSENT,
    )
    graph.node.insert(0, lookup)
    model.opset_import.append(onnx.helper.make_opsetid("ai.onnx.ml", 3))


def notes_of(form: RawForm) -> dict[str, str]:
    """What a file says of itself beside its network: plain texts, and JSON."""
    student = form.student
    inputs = [
        {"name": each.name, "dtype": each.dtype, "shape": [BATCH, *each.shape], "about": each.about}
        | ({"columns": list(each.columns)} if each.columns else {})
        for each in form.inputs
    ]
    found = {
        "labels": json.dumps(student.labels, ensure_ascii=False),
        "kind": student.kind,
        "network": student.network or "",
        "inputs": json.dumps(inputs, ensure_ascii=False),
        "output": f"{OUTPUT} ({BATCH}, {len(student.labels)}) of the labels, in their order",
        "preprocessing": "scale, imputation and categories are inside"
        if form.numbers or form.codes
        else "scale is inside",
    }
    if form.codes:
        found["codes"] = json.dumps(form.codes, ensure_ascii=False)
    if student.features is not None:
        found["features"] = json.dumps(dict(student.features), ensure_ascii=False)
    return found


def session(path: Path) -> Any:
    """The file in ONNX Runtime, on one thread of the processor."""
    runtime = needed("onnxruntime", "export", "an ONNX file")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # one class for each kind of fault, without a common base
        raise failed(error, "ONNX Runtime, which cannot load the exported file,") from error


def probabilities(opened: Any, raw: Arrays) -> NDArray[Any]:
    """What a file gives for raw inputs, `(N, K)`."""
    count = len(next(iter(raw.values())))
    parts = [
        opened.run([OUTPUT], {name: each[start : start + AT_ONCE] for name, each in raw.items()})[0]
        for start in range(0, max(count, 1), AT_ONCE)
    ]
    return np.concatenate(parts)


def program_probabilities(program: torch.export.ExportedProgram, raw: tuple[Tensor, ...]) -> NDArray[Any]:
    """The same of a program of torch."""
    module = program.module()
    with torch.no_grad():
        parts = [
            module(*(each[start : start + AT_ONCE] for each in raw))
            for start in range(0, max(len(raw[0]), 1), AT_ONCE)
        ]
    return torch.cat(parts).numpy()


@contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters and quantisers tell of themselves, such as of libraries that are not there."""
    loggers = [logging.getLogger(name) for name in (None, "torch.onnx", "torch.export", "onnxscript")]
    levels = [each.level for each in loggers]
    try:
        for each in loggers:
            each.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
