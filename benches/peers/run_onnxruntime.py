"""ONNX Runtime on the inference cases that standard input names. Arguments: threads, seconds."""

import sys

import onnxruntime

import cases

THREADS = int(sys.argv[1])


def infer(batch, bound):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(
        str(cases.HERE / "cnn.onnx"), options, providers=["CPUExecutionProvider"]
    )
    x, _ = cases.images(batch)
    output = session.run(None, {"x": x})[0]
    if not bound:
        return output, lambda: session.run(None, {"x": x})
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x))
    y = onnxruntime.OrtValue.ortvalue_from_numpy(output.copy())
    binding.bind_ortvalue_output("y", y)
    return output, lambda: session.run_with_iobinding(binding)


def prepare(words):
    match words:
        case ["cnn", "infer", batch]:
            return {
                "run": lambda: infer(int(batch), False),
                "bound": lambda: infer(int(batch), True),
            }
    return {}


cases.serve(prepare)
