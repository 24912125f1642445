"""The doctor's checks of a project's weights: they exist, load and fit."""

from collections.abc import Iterator

from cluster.cli.doctor import Probe
from cluster.errors import UserError
from pipelines.banks import bank_findings
from pipelines.encoder import encoder_licence, licences_text, load_encoder, weights_digest
from training.inputs import open_tracker
from training.project import Project
from training.starts import SCRATCH, resolve_start


def weight_probes(project: Project) -> Iterator[Probe]:
    """One finding each for the encoder, the memory bank's weights and for every start of the config."""
    encoder = project.maps.encoder
    name = encoder.model if encoder.weights is None else f"{encoder.model}/{encoder.weights}"
    what, licence = f"encoder {name}", encoder_licence(encoder.model, encoder.weights)
    try:
        digest = weights_digest(encoder.model, encoder.weights)
        if not digest.startswith("sha256:"):
            tagged = "is named by a pretrained tag and would be downloaded on first use"
            yield what, True, f"{tagged}; licence {licence}"
        else:
            loaded = load_encoder(encoder.model, encoder.weights)
            yield what, True, f"loads; {loaded.image_size} px, {digest[:19]}; licence {licence}"
    except UserError as error:
        yield what, False, str(error)
    yield from bank_findings(project.maps.bank)
    detector, backbone = project.finetune, project.backbone
    words = {f"finetune.weights.{start}": (word, detector.name) for start, word in detector.weights.items()}
    words |= {
        f"finetune.starts {start}": (word, detector.name)
        for start, word in detector.given.items()
        if start not in detector.weights
    }
    if backbone.start != SCRATCH:
        words["backbone.start"] = (backbone.start, backbone.name)
    for key, (word, name) in words.items():
        try:
            start = resolve_start(word, name, lambda: open_tracker(project))
        except UserError as error:
            yield key, False, str(error)
        else:
            licences = licences_text(start.licences)
            yield key, True, f"{start.source} holds {len(start.state)} tensors; licence of {licences}"
