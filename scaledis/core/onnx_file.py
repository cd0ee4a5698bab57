"""A function of JAX as an ONNX file: its jaxpr, one node for each operation.

A value that does not depend on the input is computed here and becomes a constant. The first axis of the input, and the
axes whose sizes follow from it, may have any size.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from scaledis.core import UserError
from scaledis.core.onnx_nodes import NODES, Graph, Value, kind

OPSET, IR = 18, 8  # of December 2022, which every runtime of today reads
CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "custom_jvp_call": "call_jaxpr"}
CALLS |= {"custom_vjp_call": "call_jaxpr"}


def make_file(function: Callable[..., Any], name: str, like: jax.ShapeDtypeStruct, outputs: Sequence[str]) -> bytes:
    """Returns the file of a function of one array.

    Args:
      function: array -> a tuple of arrays.
      name: of the input.
      like: the input, whose first axis is the symbol of `jax.export.symbolic_shape`.
      outputs: the names of the results.

    Raises UserError where onnx is missing, and for a function with an operation that has no node here.
    """
    try:
        from onnx import checker, helper, numpy_helper
    except ImportError as error:
        raise UserError("format: onnx needs the package onnx; pip install scaledis[onnx].") from error
    closed = jax.make_jaxpr(function)(like)
    graph = Graph(name, like.shape[0])
    results = [*map(graph.name, _walk(graph, closed.jaxpr, [*closed.consts, name]))]
    nodes = [helper.make_node("Identity", [r], [o]) for r, o in zip(results, outputs, strict=True)]
    needed: set[str] = set(outputs)
    kept = [node for node in reversed([*graph.nodes, *nodes]) if _needs(node, needed)][::-1]
    made = helper.make_graph(
        kept,
        "scaledis",
        [_described(name, like)],
        [_described(o, var.aval) for o, var in zip(outputs, closed.jaxpr.outvars, strict=True)],
        [numpy_helper.from_array(array, key) for key, array in graph.constants.items() if key in needed],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    checker.check_model(model)
    return bytes(model.SerializeToString())


def _needs(node: Any, needed: set[str]) -> bool:
    """Returns whether the result of a node is needed, and if so adds its inputs to what is."""
    if needed.isdisjoint(node.output):
        return False
    needed.update(node.input)
    return True


def _described(name: str, like: Any) -> Any:
    from onnx import helper

    sizes = [size if isinstance(size, int) else str(size) for size in like.shape]
    return helper.make_tensor_value_info(name, kind(like.dtype), sizes)


def _walk(graph: Graph, jaxpr: Any, values: Sequence[Value]) -> list[Value]:
    """Adds the operations of a jaxpr, given the values of its constants and arguments, and returns its results."""
    known: dict[Any, Value] = dict(zip([*jaxpr.constvars, *jaxpr.invars], values, strict=True))

    def read(atoms: Iterable[Any]) -> list[Value]:
        return [np.asarray(atom.val) if hasattr(atom, "val") else known[atom] for atom in atoms]  # a literal has one

    for equation in jaxpr.eqns:
        inputs, operation = read(equation.invars), equation.primitive.name
        if operation in CALLS:
            inner = equation.params[CALLS[operation]]
            results = _walk(graph, inner.jaxpr, [*inner.consts, *inputs])
        elif not any(isinstance(value, str) for value in inputs) and _is_fixed(equation):
            found = equation.primitive.bind(*inputs, **equation.params)
            results = [np.asarray(each) for each in (found if equation.primitive.multiple_results else [found])]
        elif operation in NODES:
            made = NODES[operation](graph, equation, [*map(graph.name, inputs)])
            results = [made] if isinstance(made, str) else [*made]
        else:
            raise UserError(f"onnx: the operation {operation} of this network has no node.")
        known.update(zip(equation.outvars, results, strict=True))
    return read(jaxpr.outvars)


def _is_fixed(equation: Any) -> bool:
    """Returns whether the results of an equation have known shapes."""
    return all(isinstance(size, int) for var in equation.outvars for size in var.aval.shape)
