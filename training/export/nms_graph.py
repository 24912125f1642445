"""The steps after the network as ONNX nodes, so that a file gives what `agssp predict` gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from pipelines.encoder import Graph

CANDIDATES = ("boxes", "scores")  # what the network's file gives
PREFIX = "nms_"
AREA, SIZE = "area", "size"
BOXES, SCORES, LABELS, COUNT = OUTPUTS = ("boxes", "scores", "labels", "count")
NOTHING = -1.0  # score of what is no detection


@dataclass(frozen=True)
class Selection:
    """How detections are chosen of candidates; see `training.models.detectors.suppression.suppress`.

    Attributes:
        candidates: N candidates of an image.
        boxes_each: 1, or `classes` where each class has boxes of its own.
        classes: number of classes.
        nms_iou: overlap above which the worse of two boxes of a class goes; None keeps both.
        min_score: boxes must be better than this.
        max_boxes: largest number of boxes that are kept.
        most_compared: the best by score that suppression looks at.
    """

    candidates: int
    boxes_each: int
    classes: int
    nms_iou: float | None
    min_score: float
    max_boxes: int
    most_compared: int

    @property
    def kept(self) -> int:
        """Length of the outputs."""
        return min(self.max_boxes, self.candidates * self.classes)


def with_selection(model: ModelProto, selection: Selection) -> ModelProto:
    """A network's file that gives detections in the place of candidates.

    Inputs beside the network's: `area` (batch, 4) float32 x0 y0 x1 y1, the part of the input that shows the
    image, and `size` (batch, 2) float32, width and height of the original. Outputs: `boxes` (batch, K, 4)
    float32 in pixels of the original and inside it, `scores` (batch, K) float32, `labels` (batch, K) int64,
    and `count` (batch,) int64; best first, behind `count` zeros and labels of −1. A count of −1 says that the
    network answered NaN.

    Args:
        model: gives `boxes` (batch, N, 1 or classes, 4) and `scores` (batch, N, classes).
        selection: the rules.
    """
    whole = ModelProto()
    whole.CopyFrom(model)
    network = whole.graph
    names = {name: f"{PREFIX}of_network_{name}" for name in CANDIDATES}
    for node in network.node:
        for ends in (node.input, node.output):
            for place, name in enumerate(ends):
                ends[place] = names.get(name, name)
    graph = Graph(PREFIX)
    _Nodes(graph, selection).write(names["boxes"], names["scores"])
    network.node.extend(graph.nodes)
    network.initializer.extend(graph.constants)
    network.input.extend(_value(name, TensorProto.FLOAT, sides) for name, sides in ((AREA, [4]), (SIZE, [2])))
    del network.output[:]
    kept = selection.kept
    for name, kind, sides in (
        (BOXES, TensorProto.FLOAT, [kept, 4]),
        (SCORES, TensorProto.FLOAT, [kept]),
        (LABELS, TensorProto.INT64, [kept]),
        (COUNT, TensorProto.INT64, []),
    ):
        network.output.append(_value(name, kind, sides))
    del network.value_info[:]  # names some candidates that are called otherwise now
    return whole


def _value(name: str, kind: int, sides: Sequence[int]) -> Any:
    return helper.make_tensor_value_info(name, kind, ["batch", *sides])


class _Nodes:
    def __init__(self, graph: Graph, selection: Selection) -> None:
        self.graph, self.rules = graph, selection
        self.add, self.whole = graph.add, graph.whole

    def write(self, boxes: str, scores: str) -> None:
        """All steps, in the order of `suppress`."""
        rules, add = self.rules, self.add
        offset = self._twice(AREA, 0, 2)
        end = self._twice(AREA, 2, 4)
        size = self._twice(SIZE, 0, 2)
        cut = add("Min", add("Max", boxes, self._per_box(offset)), self._per_box(end))
        shows = self._shows(boxes, cut)
        better = add("And", add("Greater", scores, self.graph.constant(rules.min_score)), shows)
        values = add("Where", better, scores, self.graph.constant(NOTHING))
        if rules.candidates * rules.classes > rules.most_compared:
            values = self._best_alone(values)
        if rules.nms_iou is not None:
            # Boxes that show nothing may hold NaN, and are no candidates any more.
            safe = add("Where", add("Unsqueeze", shows, self.whole([-1])), boxes, self.graph.constant(0.0))
            values = self._unsuppressed(safe, values)
        flat = add("Reshape", values, self.whole([-1, rules.candidates * rules.classes]))
        best, place = self._two("TopK", flat, self.whole([rules.kept]), axis=1, largest=1, sorted=1)
        classes = self.whole(rules.classes)
        found = add("Greater", best, self.graph.constant(NOTHING / 2))
        row = place if rules.boxes_each > 1 else add("Div", place, classes)
        rows = add("Reshape", cut, self.whole([-1, rules.candidates * rules.boxes_each, 4]))
        chosen = add("GatherND", rows, add("Unsqueeze", row, self.whole([2])), batch_dims=1)
        original = self._in_original(chosen, offset, end, size)
        zero = self.graph.constant(0.0)
        add("Where", add("Unsqueeze", found, self.whole([2])), original, zero, name=BOXES)
        add("Where", found, best, zero, name=SCORES)
        add("Where", found, add("Mod", place, classes), self.whole(-1), name=LABELS)
        count = add("ReduceSum", add("Cast", found, to=TensorProto.INT64), self.whole([1]), keepdims=0)
        add("Where", self._lost(boxes, scores), self.whole(-1), count, name=COUNT)

    def _shows(self, boxes: str, cut: str) -> str:
        """(B, N, boxes_each) bool: finite, and with an area inside of what shows the image."""
        sides = self.add("Sub", self._last(cut, 2, 4), self._last(cut, 0, 2))
        seen = self._all(self.add("Greater", sides, self.graph.constant(0.0)))
        largest = self.graph.constant(np.finfo(np.float32).max)
        return self.add("And", seen, self._all(self.add("LessOrEqual", self.add("Abs", boxes), largest)))

    def _best_alone(self, values: str) -> str:
        """The best `most_compared` scores of each image; the others become `NOTHING`."""
        rules, add = self.rules, self.add
        flat = add("Reshape", values, self.whole([-1, rules.candidates * rules.classes]))
        best, place = self._two("TopK", flat, self.whole([rules.most_compared]), axis=1, largest=1, sorted=1)
        kept = add("ScatterElements", self._nothing(flat), place, best, axis=1)
        return add("Reshape", kept, self.whole([-1, rules.candidates, rules.classes]))

    def _unsuppressed(self, boxes: str, values: str) -> str:
        """(B, N, classes): the scores of those that suppression keeps, `NOTHING` of the others."""
        rules, add = self.rules, self.add
        if rules.boxes_each > 1:  # each class is an image of its own to the operator
            boxes = add("Transpose", boxes, perm=[0, 2, 1, 3])
        boxes = add("Reshape", boxes, self.whole([-1, rules.candidates, 4]))
        by_class = add("Transpose", values, perm=[0, 2, 1])
        if rules.boxes_each > 1:
            by_class = add("Reshape", by_class, self.whole([-1, 1, rules.candidates]))
        chosen = add(
            "NonMaxSuppression",
            *(boxes, by_class, self.whole([rules.max_boxes])),
            self.graph.constant([rules.nms_iou]),
            self.graph.constant([0.0]),  # the floor has been seen to: what is below it is negative
        )
        kept = add("ScatterND", self._nothing(by_class), chosen, add("GatherND", by_class, chosen))
        kept = add("Reshape", kept, self.whole([-1, rules.classes, rules.candidates]))
        return add("Transpose", kept, perm=[0, 2, 1])

    def _in_original(self, boxes: str, offset: str, end: str, size: str) -> str:
        """Boxes (B, K, 4) in pixels of the original, cut off at its border."""
        add, over = self.add, self.whole([1])
        start, span, most = (
            add("Unsqueeze", value, over) for value in (offset, add("Sub", end, offset), size)
        )
        scaled = add("Div", add("Mul", add("Sub", boxes, start), most), span)
        return add("Min", add("Max", scaled, self.graph.constant(0.0)), most)

    def _lost(self, boxes: str, scores: str) -> str:
        """(B,) bool: whether the network answered NaN where it would count; see `Detector.predict`."""
        add = self.add
        damaged = self._any(add("IsNaN", boxes), [2, 3])
        best = add("ReduceMax", scores, self.whole([2]), keepdims=0)
        counts = add("Greater", best, self.graph.constant(self.rules.min_score))
        lost = add("Or", add("And", damaged, counts), self._any(add("IsNaN", scores), [2]))
        return self._any(lost, [1])

    def _nothing(self, like: str) -> str:
        value = helper.make_tensor("value", TensorProto.FLOAT, [1], [NOTHING])
        return self.add("ConstantOfShape", self.add("Shape", like), value=value)

    def _twice(self, value: str, start: int, end: int) -> str:
        """Two columns (B, 2) as (B, 4), for both corners."""
        part = self._last(value, start, end)
        return self.add("Concat", part, part, axis=1)

    def _last(self, value: str, start: int, end: int) -> str:
        """Some places of the last axis."""
        return self.add("Slice", value, self.whole([start]), self.whole([end]), self.whole([-1]))

    def _per_box(self, value: str) -> str:
        """(B, 4) as (B, 1, 1, 4)."""
        return self.add("Unsqueeze", value, self.whole([1, 2]))

    def _all(self, value: str) -> str:
        """Whether all of the last axis are true; reductions of bool are newer than many runtimes."""
        number = self.add("Cast", value, to=TensorProto.FLOAT)
        least = self.add("ReduceMin", number, self.whole([-1]), keepdims=0)
        return self.add("Greater", least, self.graph.constant(0.5))

    def _any(self, value: str, axes: Sequence[int]) -> str:
        number = self.add("Cast", value, to=TensorProto.FLOAT)
        most = self.add("ReduceMax", number, self.whole(list(axes)), keepdims=0)
        return self.add("Greater", most, self.graph.constant(0.5))

    def _two(self, operator: str, *inputs: str, **attributes: Any) -> tuple[str, str]:
        """A node with two outputs."""
        number = len(self.graph.nodes)
        names = f"{PREFIX}v{number}", f"{PREFIX}v{number}_place"
        self.graph.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names
