"""Functions of JAX as files that do not need their Python code: a folder of programs with `export.json`.

The first axis of every input may have any size. A format is a way to write a function: `jax` is the program of
`jax.export` for CPU, GPU and TPU, `onnx` an ONNX graph.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax import Array, export

from scaledis.core import UserError, files, onnx_file, registry, runtime

ABOUT, SUMS = "export.json", "sha256"
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


class Function(NamedTuple):
    """A function of one array.

    call: array -> a tuple of arrays, pure.
    input: the name of the array.
    shape, dtype: of the array, without its first axis.
    outputs: the names of the results.
    """

    call: Callable[[Array], tuple[Array, ...]]
    input: str
    shape: tuple[int, ...]
    dtype: type
    outputs: tuple[str, ...]


def _program(function: Function, like: jax.ShapeDtypeStruct) -> bytes:
    try:
        import flatbuffers  # noqa: F401  # the format of the file
    except ImportError as error:
        raise UserError("format: jax needs the package flatbuffers; pip install scaledis[export].") from error
    return bytes(export.export(jax.jit(function.call), platforms=PLATFORMS)(like).serialize())


def _graph(function: Function, like: jax.ShapeDtypeStruct) -> bytes:
    return onnx_file.make_file(function.call, function.input, like, function.outputs)


FORMATS = {"jax": _program, "onnx": _graph}


@runtime.pinned()
def write(folder: Path, functions: Mapping[str, Function], about: Mapping[str, Any], format: str) -> None:
    """Writes `<name>.<format>` for each function, and `export.json` with `about`, checksums and names of arrays.

    Raises UserError for an unknown format, for a function that the format cannot hold, and where a file cannot be
    written.
    """
    make = registry.choose("format", format, FORMATS)
    (batch,) = export.symbolic_shape("batch")
    made = {}
    for name, function in functions.items():
        try:
            like = jax.ShapeDtypeStruct((batch, *function.shape), function.dtype)
            made[f"{name}.{format}"] = make(function, like)
        except TypeError as error:
            remedy = "of an array x, x.shape[0] may be a symbol, and len(x) may not"
            raise UserError(f"{name}: it cannot be traced for a batch of any size ({error}); {remedy}.") from error
    for name, data in made.items():
        files.write_bytes(folder / name, data)
    arrays = {name: {"input": each.input, "outputs": each.outputs} for name, each in functions.items()}
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in made.items()}
    files.write_sealed(folder / ABOUT, {**about, "format": format, "arrays": arrays, SUMS: sums})


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Callable[[Any], tuple[Array, ...]]]]:
    """Returns the facts and the functions of a folder that `write` has written in the format jax.

    Raises UserError, naming the file, for another format, and for a file that is missing, damaged, or of a version of
    JAX that this one cannot read.
    """
    about = files.read_json(folder / ABOUT, "format", SUMS, needs_seal=True)
    if about["format"] != "jax":
        raise UserError(f"{folder} holds {about['format']} files, which onnxruntime reads; export with format='jax'.")
    functions: dict[str, Callable[[Any], tuple[Array, ...]]] = {}
    for name, checksum in about.pop(SUMS).items():
        path = folder / Path(name).name
        data = files.read_bytes(path)
        if hashlib.sha256(data).hexdigest() != checksum:
            raise UserError(f"{path} is damaged: it is not the file that {ABOUT} was written with.")
        try:
            functions[path.stem] = jax.jit(export.deserialize(bytearray(data)).call)
        except Exception as error:  # flatbuffers and XLA raise various ones
            raise UserError(f"{path} cannot be read by JAX {jax.__version__}: {error}.") from error
    return about, functions
