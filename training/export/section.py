"""The config of exported files."""

from typing import Any, Literal

from pydantic import Field, field_validator

from cluster.config import Section

Format = Literal["openvino-fp32", "openvino-fp16", "openvino-int8", "onnx-int8"]
QUANTISED: tuple[Format, ...] = ("openvino-int8", "onnx-int8")


class ExportSection(Section):
    """Which files a detector is exported as, beside `detector.onnx` and its library's own.

    Attributes:
        nms: whether to write `detector-nms.onnx` too, which holds all steps after the network: the score
            floor `predict.min_score`, suppression, the best 300, boxes in pixels of the original.
        formats: further files: `openvino-fp32`, `openvino-fp16`, `openvino-int8`, `onnx-int8`; those of 8
            bits are calibrated on images of the training part.
        calibration_images: images at most that files of 8 bits are calibrated on.
        measured_images: images of the test part at most that mAP is measured on, of PyTorch and of each
            further file; None takes all.
    """

    nms: bool = False
    formats: tuple[Format, ...] = ()
    calibration_images: int = Field(default=128, ge=1, le=10_000)
    measured_images: int | None = Field(default=500, ge=1)

    @field_validator("formats")
    @classmethod
    def _once(cls, formats: tuple[Format, ...]) -> tuple[Format, ...]:
        if len(set(formats)) != len(formats):
            raise ValueError("a format is named twice")
        return formats

    @property
    def quantised(self) -> bool:
        """Whether a file of 8 bits is asked for."""
        return bool(set(QUANTISED) & set(self.formats))

    @property
    def more(self) -> bool:
        """Whether anything beside the plain ONNX file is asked for."""
        return self.nms or bool(self.formats)

    @property
    def deciding(self) -> dict[str, Any]:
        """The settings that decide the result, JSON-able; none for the plain files alone."""
        return self.model_dump(mode="json") if self.more else {}
