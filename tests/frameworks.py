"""Stand-ins for arrays of frameworks that are not installed."""

import numpy as np


class Tensor:
    """What numpy sees of a tensor of torch: it refuses to leave its graph, its device, and bfloat16."""

    def __init__(self, array, grad=True, device="cuda:0", bfloat16=False):
        self.array, self.grad, self.device, self.bfloat16 = np.asarray(array), grad, device, bfloat16

    def detach(self):
        return Tensor(self.array, False, self.device, self.bfloat16)

    def cpu(self):
        return Tensor(self.array, self.grad, "cpu", self.bfloat16)

    def float(self):
        return Tensor(self.array, self.grad, self.device)

    def is_floating_point(self):
        return self.array.dtype.kind == "f"

    def __array__(self, dtype=None, copy=None):
        if self.grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if self.device != "cpu":
            raise TypeError(f"can't convert {self.device} device type tensor to numpy.")
        if self.bfloat16:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


class Exchanged:
    """An array that can only be exchanged by DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **wanted):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class OnDevice(Exchanged):
    """An array of CuPy: numpy gets nothing unasked."""

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def get(self):
        return self.array
