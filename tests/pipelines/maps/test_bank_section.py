"""The bank's config: old fingerprints hold, and what does not go together is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.maps.section import MapsSection


def maps(**options: Any) -> MapsSection:
    return MapsSection.model_validate(options)


def test_without_a_bank_the_deciding_settings_are_what_they_were() -> None:
    assert maps().deciding.keys() == {"encoder", "method", "kead"}
    assert maps(bank={"encoder": "clip"}).deciding == maps().deciding
    assert maps(method="winclip").deciding.keys() == {"encoder", "method", "winclip"}


def test_settings_that_do_not_count_are_not_in_the_fingerprint() -> None:
    one = maps(bank={"encoder": "efficientnet-lite0"})
    assert one.deciding["bank"].keys() >= {"encoder", "levels", "size", "text_weight", "views", "most"}
    assert maps(bank={"encoder": "efficientnet-lite0", "sample": 9}).deciding == one.deciding
    assert maps(bank={"encoder": "efficientnet-lite0", "views": "turns"}).deciding != one.deciding
    mutual = maps(bank={"mode": "mutual"})
    assert maps(bank={"mode": "mutual", "views": "turns"}).deciding == mutual.deciding
    assert maps(bank={"mode": "mutual", "sample": 9}).deciding != mutual.deciding


def test_mutual_scoring_needs_no_references() -> None:
    assert maps().shots == 4
    assert maps(bank={"mode": "mutual"}).shots == 0
    assert maps(bank={"mode": "mutual"}).reference_need is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"bank": {"encoder": "resnet18"}}, "timm/NAME"),
        ({"bank": {"encoder": "timm/../x"}}, "timm/NAME"),
        ({"bank": {"encoder": "timm/"}}, "timm/NAME"),
        ({"bank": {"weights": "w.pt"}}, "clip brings its own"),
        ({"bank": {"encoder": "efficientnet-lite0", "weights": "w.pt"}}, "brings its own"),
        ({"bank": {"levels": [1]}}, r"kead\.layers"),
        ({"bank": {"size": 320}}, r"kead\.layers"),
        ({"bank": {"encoder": "timm/resnet18", "levels": [1, 1]}}, "twice"),
        ({"bank": {"encoder": "timm/resnet18", "levels": []}}, "at least 1"),
        ({"bank": {"encoder": "timm/resnet18", "levels": [-1]}}, "greater than or equal to 0"),
        ({"bank": {"text_weight": 1.5}}, "less than or equal to 1"),
        ({"method": "winclip", "bank": {"mode": "mutual"}}, "method=kead"),
        ({"store_parts": True, "bank": {"views": "turns"}}, "store_parts"),
        ({"kead": {"shots": 0}, "bank": {"encoder": "timm/resnet18"}}, "take mutual"),
        ({"kead": {"few_weight": 0.4}, "bank": {"encoder": "timm/resnet18"}}, r"bank\.text_weight"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        maps(**options)
