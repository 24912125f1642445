"""The config of trained map methods: what decides their maps, what they need, what is refused."""

import pytest
from pydantic import ValidationError

from cluster.errors import UserError
from pipelines.heads.required import required_head
from pipelines.maps.section import MapsSection
from pipelines.maps.sentences import check_sentences
from pipelines.maps.stage import check_maps


def section(**document: object) -> MapsSection:
    return MapsSection.model_validate(document)


def test_the_heads_path_decides_nothing_and_its_settings_do() -> None:
    plain = section(method="painted")
    assert plain.with_head("/a/head.safetensors").deciding == plain.deciding
    assert plain.with_head("/a/head.safetensors").head == "/a/head.safetensors"
    assert section(method="painted", painted={"top": 0.1}).deciding != plain.deciding
    # Maps of other methods know nothing of heads, so those made before there were any are found.
    assert not {"painted", "aprilgan", "anomalyclip", "aaclip"} & section().deciding.keys()


def test_painted_maps_need_neither_references_nor_prompts() -> None:
    assert section(method="painted").reference_need is None
    check_sentences(section(method="painted"), {"a thing without prompts"})
    for method in ("aprilgan", "aaclip"):
        with pytest.raises(UserError):
            check_sentences(section(method=method), {"a thing without prompts"})


@pytest.mark.parametrize("method", ["painted", "aprilgan", "anomalyclip", "aaclip"])
def test_a_method_without_its_head_says_how_to_have_one(method: str) -> None:
    chosen = section(method=method)
    assert chosen.trained
    with pytest.raises(UserError, match=f"agssp train maps --method {method} trains one"):
        required_head(method, chosen.head)
    with pytest.raises(UserError, match=f"agssp train maps --method {method} trains one"):
        check_maps(chosen, {"rail"})


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"method": "painted", "tiles": "auto"}, "its head is trained on whole images"),
        ({"method": "painted", "bank": {"encoder": "efficientnet-lite0"}}, "painted does not read it"),
        ({"method": "painted", "painted": {"encoder": "timm/"}}, "is no bank's encoder"),
        ({"method": "painted", "painted": {"levels": [1]}}, "for other encoders than clip"),
        ({"method": "aprilgan", "aprilgan": {"layers": [0]}}, "greater than or equal to 1"),
        ({"method": "anomalyclip", "anomalyclip": {"temperature": 0}}, "greater than 0"),
        ({"method": "aaclip", "tiles": "auto"}, "its head is trained on whole images"),
        ({"method": "aaclip", "aaclip": {"temperature": 11}}, "less than or equal to 10"),
        ({"method": "aprilgan", "store_parts": True}, "store_parts needs method=kead"),
    ],
)
def test_what_can_not_be_is_refused(document: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        MapsSection.model_validate(document)


def test_banks_whose_levels_were_chosen_wrongly_have_another_revision() -> None:
    named = {"encoder": "efficientnet-lite0", "levels": [2, 3]}
    assert section().revision == section(bank=named).revision == 1
    assert section(bank={"encoder": "efficientnet-lite0"}).revision == 3
    assert section(method="winclip").revision == section(method="painted").revision == 1
