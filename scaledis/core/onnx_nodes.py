"""The operations of JAX as nodes of an ONNX graph, by the names of their primitives."""

import string
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from scaledis.core import UserError

Value = str | np.ndarray  # the name of a result in the graph, or a constant
Node = Callable[["Graph", Any, list[str]], str | list[str]]  # (graph, equation, names of its inputs) -> its results


class Graph:
    """Nodes and constants, to which a function adds its own.

    Attributes:
      input: the name of the one input.
      batch: the symbol of its first axis.
    """

    def __init__(self, input: str, batch: Any):
        self.input, self.batch = input, batch
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}

    def add(self, operation: str, *inputs: Value, **attributes: Any) -> str:
        """Returns the name of the result of a new node."""
        from onnx import helper

        result = f"{operation.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, [*map(self.name, inputs)], [result], **attributes))
        return result

    def name(self, value: Value) -> str:
        """Returns the name of a value; a constant becomes part of the graph."""
        if isinstance(value, str):
            return value
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def shape(self, sizes: Sequence[Any]) -> str:
        """Returns the name of a shape, of which one or several sizes are multiples of the batch."""
        if all(isinstance(size, int) for size in sizes):
            return self.name(_whole(sizes))
        batch = self.add("Shape", self.input, start=0, end=1)
        return self.add("Concat", *(_whole([s]) if isinstance(s, int) else self._size(s, batch) for s in sizes), axis=0)

    def _size(self, size: Any, batch: str) -> str:
        times = size // self.batch
        if not isinstance(times, int) or times * self.batch != size:
            raise UserError(f"onnx: an axis of size {size} is no multiple of the batch.")
        return self.add("Mul", batch, _whole([times]))


def kind(dtype: Any) -> int:
    """Returns the number of a type in ONNX."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _whole(numbers: Iterable[Any]) -> np.ndarray:
    return np.array([*map(int, numbers)], np.int64)


def _same(operation: str) -> Node:
    """Returns the node of an operation that ONNX has under another name."""
    return lambda graph, equation, inputs: graph.add(operation, *inputs)


def _like(equation: Any, number: float) -> np.ndarray:
    """Returns a number in the type of the result."""
    return np.asarray(number, equation.outvars[0].aval.dtype)


def _reshape(graph: Graph, equation: Any, inputs: list[str]) -> str:
    sizes = equation.outvars[0].aval.shape
    open_sizes = sum(not isinstance(size, int) for size in sizes)
    if open_sizes == 1:  # the runtime finds it
        return graph.add("Reshape", inputs[0], _whole(s if isinstance(s, int) else -1 for s in sizes))
    return graph.add("Reshape", inputs[0], graph.shape(sizes))


def _broadcast(graph: Graph, equation: Any, inputs: list[str]) -> str:
    own, sizes = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    placed = dict(zip(equation.params["broadcast_dimensions"], own, strict=True))
    spread = [placed.get(axis, 1) for axis in range(len(sizes))]
    new = [axis for axis in range(len(sizes)) if axis not in placed]
    held = graph.add("Unsqueeze", inputs[0], _whole(new)) if new else inputs[0]
    wanted = [1 if has == size else size for has, size in zip(spread, sizes, strict=True)]
    return held if wanted == [1] * len(sizes) else graph.add("Expand", held, graph.shape(wanted))


def _slice(graph: Graph, equation: Any, inputs: list[str]) -> str:
    shape, given = equation.invars[0].aval.shape, equation.params
    strides = given["strides"] or (1,) * len(shape)
    ends = zip(given["start_indices"], given["limit_indices"], strides, shape, strict=True)
    parts = {axis: part[:3] for axis, part in enumerate(ends) if part != (0, part[3], 1, part[3])}
    if not parts:
        return inputs[0]
    if not all(isinstance(size, int) for part in parts.values() for size in part):
        raise UserError("onnx: a slice along the batch has no node.")
    starts, limits, steps = zip(*parts.values(), strict=True)
    return graph.add("Slice", inputs[0], _whole(starts), _whole(limits), _whole(parts), _whole(steps))


def _reverse(graph: Graph, equation: Any, inputs: list[str]) -> str:
    axes = equation.params["dimensions"]
    first = np.iinfo(np.int64).min  # before the first element, so that it is part of the result
    ends = (_whole(each for _ in axes) for each in (-1, first))
    return graph.add("Slice", inputs[0], *ends, _whole(axes), _whole(-1 for _ in axes))


def _pad(graph: Graph, equation: Any, inputs: list[str]) -> str:
    lows, highs, between = zip(*equation.params["padding_config"], strict=True)
    if any(between):
        raise UserError("onnx: padding between elements has no node.")
    return graph.add("Pad", inputs[0], _whole([*lows, *highs]), inputs[1])


def _dot(graph: Graph, equation: Any, inputs: list[str]) -> str:
    contracted, batched = equation.params["dimension_numbers"]
    ranks = [len(var.aval.shape) for var in equation.invars]
    if ranks == [2, 2] and contracted == ((1,), (0,)):
        return graph.add("MatMul", *inputs)
    letters = iter(string.ascii_letters)
    names: list[dict[int, str]] = [{}, {}]
    for left, right in zip((*batched[0], *contracted[0]), (*batched[1], *contracted[1]), strict=True):
        names[0][left] = names[1][right] = next(letters)
    sides = [[own.get(axis) or next(letters) for axis in range(n)] for own, n in zip(names, ranks, strict=True)]
    result = [sides[0][axis] for axis in batched[0]]
    result += [letter for own, side in zip(names, sides, strict=True) for n, letter in enumerate(side) if n not in own]
    return graph.add("Einsum", *inputs, equation=f"{','.join(map(''.join, sides))}->{''.join(result)}")


def _convolution(graph: Graph, equation: Any, inputs: list[str]) -> str:
    """A convolution, or a transposed one: that of an image with zeros between its pixels, by the reversed kernel."""
    given, weights = equation.params, graph.constants.get(inputs[1])
    image, kernel, result = given["dimension_numbers"]
    strides, dilations, pads = given["window_strides"], given["lhs_dilation"], np.array(given["padding"])
    transposed, plain = set(dilations) != {1}, set(strides) == {1} and given["feature_group_count"] == 1
    if weights is None or given["batch_group_count"] != 1:
        raise UserError("onnx: a convolution with a kernel that depends on the input has no node.")
    if transposed and not (plain and set(given["rhs_dilation"]) == {1}):
        raise UserError("onnx: a convolution of an image with zeros between its pixels has no strides and no groups.")
    x, weights = graph.add("Transpose", inputs[0], perm=[*image]), weights.transpose(kernel)  # [O, I, height, width]
    if transposed:
        spatial = np.array(weights.shape[2:])
        weights = np.flip(weights.swapaxes(0, 1), tuple(range(2, weights.ndim)))
        cropped = spatial[:, None] - 1 - pads
        y = graph.add("ConvTranspose", x, weights, strides=[*dilations], pads=cropped.T.ravel().tolist())
    else:
        sizes = {"strides": [*strides], "dilations": [*given["rhs_dilation"]], "pads": pads.T.ravel().tolist()}
        y = graph.add("Conv", x, weights, group=given["feature_group_count"], **sizes)
    return graph.add("Transpose", y, perm=np.argsort(result).tolist())


def _gather(graph: Graph, equation: Any, inputs: list[str]) -> str:
    """The rows of one axis, by constant numbers, x[:, [0, 2, 3]], or a window at a constant place, x[:, 1, 2:4]."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    indices, shape, axes = graph.constants.get(inputs[1]), equation.invars[0].aval.shape, numbers.start_index_map
    if indices is not None and indices.ndim == 1 and all(isinstance(sizes[axis], int) for axis in axes):
        ends = indices + [sizes[axis] for axis in axes]
        return _reshape(graph, equation, [graph.add("Slice", inputs[0], *map(_whole, (indices, ends, axes)))])
    if indices is not None and len(axes) == 1 and numbers.collapsed_slice_dims == axes:
        (axis,), rank = axes, indices.ndim - 1
        after = range(axis + rank, len(shape) - 1 + rank)
        if numbers.offset_dims == (*range(axis), *after) and sizes == (*shape[:axis], 1, *shape[axis + 1 :]):
            return graph.add("Gather", inputs[0], indices[..., 0].astype(np.int64), axis=axis)
    raise UserError("onnx: only rows of one axis, by constant numbers, can be gathered.")


def _reduced(operation: str) -> Node:
    return lambda graph, equation, inputs: graph.add(operation, inputs[0], _whole(equation.params["axes"]), keepdims=0)


def _split(graph: Graph, equation: Any, inputs: list[str]) -> list[str]:
    axis, ends = equation.params["axis"], np.cumsum([0, *equation.params["sizes"]])
    pairs = zip(ends, ends[1:], strict=False)
    return [graph.add("Slice", inputs[0], *(_whole([each]) for each in (*pair, axis))) for pair in pairs]


NODES: dict[str, Node] = {
    **{name: _same(name.title()) for name in "neg exp log tanh sqrt abs sign floor ceil erf sin cos not".split()},
    **{name: _same(name.title()) for name in "add sub mul div max min pow and or".split()},
    **{"logistic": _same("Sigmoid"), "copy": _same("Identity"), "gt": _same("Greater"), "lt": _same("Less")},
    **{"ge": _same("GreaterOrEqual"), "le": _same("LessOrEqual"), "eq": _same("Equal")},
    "ne": lambda graph, equation, inputs: graph.add("Not", graph.add("Equal", *inputs)),
    "square": lambda graph, equation, inputs: graph.add("Mul", inputs[0], inputs[0]),
    "integer_pow": lambda graph, equation, inputs: graph.add("Pow", inputs[0], _like(equation, equation.params["y"])),
    "rsqrt": lambda graph, equation, inputs: graph.add("Reciprocal", graph.add("Sqrt", inputs[0])),
    "expm1": lambda graph, equation, inputs: graph.add("Sub", graph.add("Exp", inputs[0]), _like(equation, 1)),
    "log1p": lambda graph, equation, inputs: graph.add("Log", graph.add("Add", inputs[0], _like(equation, 1))),
    "clamp": lambda graph, equation, inputs: graph.add("Min", graph.add("Max", inputs[1], inputs[0]), inputs[2]),
    "select_n": lambda graph, equation, inputs: graph.add("Where", inputs[0], inputs[2], inputs[1]),
    "convert_element_type": lambda graph, equation, inputs: graph.add(
        "Cast", inputs[0], to=kind(equation.params["new_dtype"])
    ),
    "transpose": lambda graph, equation, inputs: graph.add(
        "Transpose", inputs[0], perm=[*equation.params["permutation"]]
    ),
    "concatenate": lambda graph, equation, inputs: graph.add("Concat", *inputs, axis=equation.params["dimension"]),
    **dict.fromkeys(("reshape", "squeeze", "expand_dims"), _reshape),
    **{f"reduce_{name}": _reduced(f"Reduce{name.title()}") for name in ("sum", "max", "min")},
    **{"broadcast_in_dim": _broadcast, "slice": _slice, "rev": _reverse, "pad": _pad, "dot_general": _dot},
    **{"conv_general_dilated": _convolution, "gather": _gather, "split": _split},
}
