"""The maps stage in the command's own process."""

from pathlib import Path

import open_clip
import pytest

from cluster.stages.site import Site
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from pipelines.maps.section import MapsSection
from pipelines.maps.stage import make_maps
from tests.pipelines.maps.test_stage_ray import corpus_of
from tests.silent_tracking import SilentPipeline


def test_the_encoder_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[object] = []
    create = open_clip.create_model

    def counted(*arguments: object, **keywords: object) -> object:
        loads.append(arguments)
        return create(*arguments, **keywords)

    monkeypatch.setattr(open_clip, "create_model", counted)
    corpus, _ = corpus_of(tmp_path, 6)
    workspace = Storage.open(str(tmp_path / "workspace"))
    run = SilentPipeline(Tracker.open(TrackingSection(), workspace), "test", {})
    section = MapsSection.model_validate({"kead": {"shots": 4}, "max_bad_share": 0.5})
    made = make_maps(section, site=Site(workspace, run), corpus=corpus)
    assert (made.results["images"], made.results["quarantined"]) == (6, 1)
    assert len(loads) == 1
