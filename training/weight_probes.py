"""What the doctor asks of a project's weights: are they there, do they load, do they fit?"""

from collections.abc import Iterator
from pathlib import Path

from cluster.doctor import Probe
from cluster.errors import UserError
from pipelines.encoder import load_encoder, weights_digest
from training.project import Project
from training.weights import load_weights


def weight_probes(project: Project) -> Iterator[Probe]:
    """One finding each for the encoder and for every weights file that the config names."""
    encoder = project.maps.encoder
    name = encoder.model if encoder.weights is None else f"{encoder.model}/{encoder.weights}"
    what = f"encoder {name}"
    try:
        digest = weights_digest(encoder.model, encoder.weights)
        if not digest.startswith("sha256:"):
            yield what, True, "is named by a pretrained tag and would be downloaded on first use"
        else:
            loaded = load_encoder(encoder.model, encoder.weights)
            yield what, True, f"loads; {loaded.image_size} px, {digest[:19]}"
    except UserError as error:
        yield what, False, str(error)
    files = {f"finetune.weights.{start}": path for start, path in project.finetune.weights.items()}
    if project.backbone.start != "scratch":
        files["backbone.start"] = project.backbone.start
    for key, path in files.items():
        try:
            state, _ = load_weights(Path(path))
        except UserError as error:
            yield key, False, str(error)
        else:
            yield key, True, f"{path} holds {len(state)} tensors"
