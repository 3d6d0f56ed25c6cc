"""Writes cnn.onnx: the tutorial's CNN for inference, with the weights of loupe's fixtures."""

import onnx
from onnx import TensorProto, checker, helper, numpy_helper

import cases

w = {name: values for name, values in cases.weights("cnn").items() if values.ndim}
node = helper.make_node


def norm(layer, x, y):
    names = [f"{layer}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
    return node("BatchNormalization", [x, *names], [y], epsilon=1e-5)


nodes = [
    node("Conv", ["x", "0.weight", "0.bias"], ["conv0"], kernel_shape=[5, 5], strides=[2, 2]),
    node("LeakyRelu", ["conv0"], ["leaky1"], alpha=0.02),
    norm(2, "leaky1", "norm2"),
    node("Conv", ["norm2", "3.weight", "3.bias"], ["conv3"], kernel_shape=[3, 3], strides=[2, 2]),
    node("LeakyRelu", ["conv3"], ["leaky4"], alpha=0.02),
    norm(5, "leaky4", "norm5"),
    node("Flatten", ["norm5"], ["flat6"], axis=1),
    node("Gemm", ["flat6", "7.weight", "7.bias"], ["linear7"], transB=1),
    node("Sigmoid", ["linear7"], ["y"]),
]
graph = helper.make_graph(
    nodes,
    "cnn",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 28, 28])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
    [numpy_helper.from_array(values, name) for name, values in w.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
checker.check_model(model, full_check=True)
onnx.save(model, cases.HERE / "cnn.onnx")
