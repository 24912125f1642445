"""Anomaly maps by an exported file, without PyTorch and agssp: `exported_maps.py maps-rail.onnx IMAGE...`.

Prints each image's score and writes its anomalous pixels beside it, as IMAGE.anomalous.png.
"""

import json
import sys

import cv2
import numpy as np
import onnxruntime


def upright_rgb(name: str) -> np.ndarray:
    """The image, (H, W, 3), upright; agssp itself also reads those with an alpha channel or more bits."""
    data = np.fromfile(name, np.uint8)  # `imread` gives nothing for TIFFs of a camera on its side
    stored = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    if stored is None or stored.dtype != np.uint8 or stored.shape[2:] == (4,):
        raise SystemExit(f"{name}: only images of 8 bits without an alpha channel are read here")
    image: np.ndarray = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return image


def main(model: str, *images: str) -> None:
    """Map each image."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    cut = json.loads(session.get_modelmeta().custom_metadata_map["agssp"])["postprocessing"]
    for name in images:
        image = upright_rgb(name)
        (small,), (score,) = session.run(["map", "score"], {"images": image[None]})
        full = cv2.resize(small, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
        anomalous = (full >= np.float32(cut["threshold"])) & (score >= cut["delta"])
        cv2.imwrite(f"{name}.anomalous.png", anomalous.astype(np.uint8) * 255)
        print(f"{name}: score {score:.3f}, {anomalous.mean():.1%} anomalous")


if __name__ == "__main__":
    main(*sys.argv[1:])
