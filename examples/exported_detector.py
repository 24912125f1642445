"""Boxes by an exported file, without PyTorch and agssp: `exported_detector.py detector-nms.onnx IMAGE...`."""

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
    """Print each image's boxes, in its pixels."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    contract = json.loads(session.get_modelmeta().custom_metadata_map["agssp"])
    high, wide = contract["input"]["height"], contract["input"]["width"]
    for name in images:
        image = upright_rgb(name)
        height, width = image.shape[:2]
        scale = min(wide / width, high / height)
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        if contract["input"]["resize"] == "square":
            w, h = wide, high
        x, y = (wide - w) // 2, (high - h) // 2
        shrinks = min(w / width, h / height) < 1
        small = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        canvas = np.full((high, wide, 3), contract["input"]["fill"], np.uint8)
        canvas[y : y + h, x : x + w] = small
        given = {
            "images": canvas.transpose(2, 0, 1)[None].astype(np.float32) / 255,
            "area": np.array([[x, y, x + w, y + h]], np.float32),
            "size": np.array([[width, height]], np.float32),
        }
        (boxes,), (scores,), (labels,), (count,) = session.run(["boxes", "scores", "labels", "count"], given)
        if count < 0:
            raise SystemExit(f"{name}: the detector answers NaN, so nothing can be said of the image")
        for box, score, label in zip(boxes[:count].tolist(), scores, labels[:count], strict=False):
            sides = " ".join(f"{side:.1f}" for side in box)
            print(f"{name}: {contract['classes'][label]} {score:.3f} at {sides}")


if __name__ == "__main__":
    main(*sys.argv[1:])
