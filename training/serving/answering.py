"""From what was asked to what is answered, in a replica's threads; no Ray here."""

import time
from collections.abc import Sequence

from cluster.errors import UserError
from pipelines.images import ImageError
from training.serving.messages import Answer, Asked, Fault
from training.serving.roots import ForbiddenError, read_allowed
from training.serving.section import ServeSection
from training.serving.served_model import LaidOut, ServedModel


class Answering:
    """Reads images and has them looked at.

    Args:
        section: the config, with limits and roots.

    Attributes:
        images, batches: looked at since it began.
        seconds: time spent on batches.
    """

    def __init__(self, section: ServeSection) -> None:
        self._section = section
        self.images, self.batches, self.seconds = 0, 0, 0.0

    def laid_out(self, model: ServedModel, asked: Asked) -> LaidOut | Fault:
        """An image read, decoded and laid out for a model; or why it can't be."""
        section = self._section
        try:
            data = read_allowed(asked.uri, section.roots, section.max_bytes) if asked.uri else asked.data
            return model.lay_out(asked, data, section.max_pixels)
        except ForbiddenError as error:
            return Fault(403, str(error))
        except ImageError as error:
            return Fault(422, str(error))

    def detected(self, batch: Sequence[tuple[ServedModel, LaidOut]]) -> list[Answer | Fault]:
        """A batch's answers; while a version takes over there may be two models in it."""
        told: dict[int, Answer | Fault] = {}
        for model in {id(model): model for model, _ in batch}.values():
            places = [place for place, (its, _) in enumerate(batch) if its is model]
            answers = self._of_one(model, [batch[place][1] for place in places])
            told.update(zip(places, answers, strict=True))
        return [told[place] for place in range(len(batch))]

    def _of_one(self, model: ServedModel, images: Sequence[LaidOut]) -> Sequence[Answer | Fault]:
        began = time.monotonic()
        try:
            answers = model.detect(images)
        except UserError as error:  # the network answers no numbers
            if len(images) == 1:
                return [Fault(500, str(error).rstrip("."))]
            return [told for image in images for told in self._of_one(model, [image])]
        self.images, self.batches = self.images + len(images), self.batches + 1
        self.seconds += time.monotonic() - began
        return answers
