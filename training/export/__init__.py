"""what leaves the house: ONNX, the library's own file, the registry."""
