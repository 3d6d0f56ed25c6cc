"""Runs the networks that the example `onnx` has written in ONNX Runtime, and compares with loupe.

    cargo run -p loupe-model --example onnx -- FOLDER
    python model/tests/onnx/check.py FOLDER

Needs the packages onnx, onnxruntime, numpy and safetensors. For each network: whether onnx finds the file sound,
shapes included; whether it is written byte for byte as Protocol Buffers' own library would; and the largest
difference of an output from loupe's, as a share of the largest output.

Exit status: 0 if all files are sound and all differences are small, 1 otherwise.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file


def check_file(path):
    """Problems of the file by itself."""
    data = path.read_bytes()
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    if model.SerializeToString(deterministic=True) != data:
        yield "Protocol Buffers would write other bytes"
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    (output,) = inferred.graph.output
    dims = output.type.tensor_type.shape.dim
    if dims[0].dim_param != "N" or any(not dim.dim_value for dim in dims[1:]):
        yield f"the output has the shape {dims}"


def run(path, tensors, optimized):
    """The outputs of each batch size, loupe's and ONNX Runtime's."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    )
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    for name, x in tensors.items():
        kind, _, batch = name.partition("/")
        if kind == "input":
            (found,) = session.run(["output"], {"input": x})
            yield tensors[f"output/{batch}"], found


def difference(expected, found):
    if expected.shape != found.shape or not np.isfinite(found).all():
        return np.inf
    return np.abs(expected - found).max() / np.abs(expected).max()


def main():
    parser = argparse.ArgumentParser(description="Checks ONNX files against ONNX Runtime.")
    parser.add_argument("folder", type=Path, help="what the example `onnx` has written")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="default %(default)g")
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.glob("*.onnx"))
    if not paths:
        parser.error(f"{arguments.folder}: no .onnx files")
    sound = True
    for path in paths:
        problems = list(check_file(path))
        tensors = load_file(path.with_suffix(".safetensors"))
        differences = [
            max(difference(*pair) for pair in run(path, tensors, optimized))
            for optimized in (False, True)
        ]
        if max(differences) > arguments.tolerance:
            problems.append(f"DIFFERS by more than {arguments.tolerance:g}")
        plain, optimized = differences
        words = "; ".join(problems) or "agrees"
        print(f"{path.stem:14} {plain:.1e}  optimised {optimized:.1e}  {words}")
        sound = sound and not problems
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
