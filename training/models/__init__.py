"""backbones/, detectors/, segmenters/ (as today), and what they share: parts, letterbox, names."""
