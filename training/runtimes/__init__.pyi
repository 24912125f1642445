from .candidate_matching import paired_differences
from .file_detector import Answer, FileDetector, answer_of, onnx_answer, onnx_session, torch_answer
from .onnx_export import INPUT, MOST_BOX_ERROR, MOST_SCORE_ERROR, contract, export_onnx, trial_batch
from .timing import in_turn

__all__ = [
    "INPUT",
    "MOST_BOX_ERROR",
    "MOST_SCORE_ERROR",
    "Answer",
    "FileDetector",
    "answer_of",
    "contract",
    "export_onnx",
    "in_turn",
    "onnx_answer",
    "onnx_session",
    "paired_differences",
    "torch_answer",
    "trial_batch",
]
