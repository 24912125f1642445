"""Anomaly maps by an exported file, without PyTorch and agssp: `exported_maps.py maps-rail.onnx IMAGE...`.

Prints each image's score and writes its anomalous pixels beside it, as IMAGE.anomalous.png.
"""

import json
import sys

import cv2
import numpy as np
import onnxruntime


def main(model: str, *images: str) -> None:
    """Map each image."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    cut = json.loads(session.get_modelmeta().custom_metadata_map["agssp"])["postprocessing"]
    for name in images:
        image = cv2.cvtColor(cv2.imread(name), cv2.COLOR_BGR2RGB)
        (small,), (score,) = session.run(["map", "score"], {"images": image[None]})
        full = cv2.resize(small, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
        anomalous = (full >= np.float32(cut["threshold"])) & (score >= cut["delta"])
        cv2.imwrite(f"{name}.anomalous.png", anomalous.astype(np.uint8) * 255)
        print(f"{name}: score {score:.3f}, {anomalous.mean():.1%} anomalous")


if __name__ == "__main__":
    main(*sys.argv[1:])
