"""What a forecast would run, counted; nothing is read but lists of files."""

from typing import Any

from cluster.errors import UserError
from tuning.forecast.projects import ForecastSet
from tuning.forecast.section import ForecastSection
from tuning.pace import Learnt, core_seconds, round_times


def forecast_plan(section: ForecastSection, data: ForecastSet) -> dict[str, Any]:
    """What would be run, JSON-able; sizes are about, as labels are read when it runs."""
    project = data.project
    finetune = project.finetune
    sizes: list[int] | None = None
    reason = images = minutes = None
    if section.sizes is not None:
        sizes = sorted(section.sizes)
    elif data.to_learn is not None:
        try:
            sizes = list(section.sizes_of(round(data.to_learn)))
        except UserError as error:
            reason = str(error)
    runs = len(section.starts) * len(section.seeds)
    count = None if sizes is None else len(sizes) * runs * finetune.rounds
    if sizes is not None:
        learnt = sum(sizes) * runs / (1 - finetune.background_share)
        images = round(learnt * finetune.loop.epochs * round_times(finetune.rounds))
        size = finetune.image_size
        pixels = size**2 if isinstance(size, int) else size[0] * size[1]
        seconds = core_seconds(finetune.name, Learnt(images, pixels))
        minutes = None if seconds is None else seconds / 60
    return {
        "annotated": data.annotated,
        "sizes": sizes,
        "reason": reason,
        "trainings": count,
        "images_learnt": images,
        "minutes": None if minutes is None else round(minutes),
        "forecast": section.model_dump(mode="json"),
    }
