"""The training within a stage: from the model before its first step to what it leaves in the artifact."""

from collections.abc import Callable

from cluster.stages import Workbench
from training.loop.files import HISTORY_FILE, KEPT, START_FILE, TRAINING
from training.loop.fit import fit
from training.loop.fit_result import FitResult
from training.loop.section import LoopSettings, ScalingSection
from training.loop.task import PlanT, Task
from training.weights import StateDict


def trained(
    build: Callable[[PlanT], Task],
    plan: PlanT,
    settings: LoopSettings,
    *,
    bench: Workbench,
    scaling: ScalingSection,
    title: str,
    weights_file: str,
    save: Callable[[str], None],
    load: Callable[[StateDict], object],
    finish: Callable[[], None] = lambda: None,
) -> FitResult:
    """Train, and leave the model with its final weights; a killed stage goes on from its last checkpoint.

    Writes into the artifact `start.safetensors`, `weights_file`, `history.parquet` and, with `keep_best`
    above 1, `kept/epoch-N.safetensors` and `kept/last.safetensors`; the tracking run gets the weights too.

    Args:
        build: an importable function that makes the task from `plan` and `START_FILE`, on each worker.
        plan: picklable.
        settings: the loop's settings.
        bench: the stage's workbench.
        scaling: workers; changes no result.
        title: shown beside the progress bar.
        weights_file: name of the file with the final weights.
        save: writes the model, as it stands, into the artifact's file of that name.
        load: fills the model with weights of the task's model.
        finish: the stage's further work on the trained model. Checkpoints are deleted only after it, so a
            failure in it costs no training.

    Raises:
        UserError, NonFiniteLoss, RuntimeError: see `fit`.
    """
    save(START_FILE)
    result = fit(
        build,
        plan,
        settings,
        name=TRAINING,
        directory=bench.directory,
        scaling=scaling,
        run=bench.run,
        title=title,
    )
    for kept in result.kept if settings.keep_best > 1 else ():
        load(kept.weights)
        name = "last" if kept.value is None else f"epoch-{kept.epoch}"
        save(f"{KEPT}/{name}.safetensors")
    load(result.state_dict)
    save(weights_file)
    finish()
    bench.directory.write_table(HISTORY_FILE, result.table())
    with bench.directory.local_copy(weights_file) as path:
        bench.run.log_file(path, "weights")
    bench.directory.delete(TRAINING)  # checkpoints serve a resumed training only
    return result
