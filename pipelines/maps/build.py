"""The map method that a config asks for, over its encoder."""

from pipelines.banks import CLIP, Backbone
from pipelines.encoder import LoadedEncoder, input_patches, input_size, load_encoder
from pipelines.maps.aaclip import AaClip
from pipelines.maps.anomalyclip import AnomalyClip
from pipelines.maps.aprilgan import AprilGan
from pipelines.maps.bank_method import BankMethod
from pipelines.maps.kead import KeAD
from pipelines.maps.method import MapMethod
from pipelines.maps.painted import PaintedMethod
from pipelines.maps.runtime import take_runtime
from pipelines.maps.section import MapsSection
from pipelines.maps.tile_plan import EncoderInput
from pipelines.maps.winclip import WinCLIP


def build_method(section: MapsSection, device: str) -> MapMethod:
    """The chosen method over the section's encoder, loaded onto a torch device.

    Raises:
        UserError: see `load_encoder`, `KeAD` and `WinCLIP`.
    """
    return method_over(load_encoder(section.encoder.model, section.encoder.weights, device=device), section)


def input_of(section: MapsSection) -> EncoderInput:
    """The square input of the chosen method; of a bank's encoder the backbone is built, not the encoder.

    Raises:
        UserError: see `input_size` and `Backbone`.
    """
    model, weights = section.encoder.model, section.encoder.weights
    encoder = EncoderInput(input_size(model, weights), input_patches(model, weights))
    features = section.painted if section.method == "painted" else section.bank
    if features.encoder == CLIP:
        return encoder
    grids = Backbone(features).grids
    if section.method == "painted":
        return EncoderInput(features.size, max(grids))
    with_text = section.bank.weight_of_text(section.kead.few_weight) > 0
    finest = max(*grids, encoder.patches if with_text else 0)
    return EncoderInput(max(encoder.size, features.size), finest)


def method_over(encoder: LoadedEncoder, section: MapsSection) -> MapMethod:
    """The chosen method over a loaded encoder.

    Raises:
        UserError: see `KeAD`, `BankMethod`, `WinCLIP`, `PaintedMethod`, `AprilGan`, `AnomalyClip`,
            `AaClip` and `take_runtime`.
    """
    method: MapMethod
    if not section.bank.own:
        method = BankMethod(encoder, section.kead, section.bank, section.precision)
    elif section.method == "kead":
        method = KeAD(encoder, section.kead, section.precision)
    elif section.method == "painted":
        method = PaintedMethod(encoder, section.painted, section.precision)
    elif section.method == "aprilgan":
        method = AprilGan(encoder, section.aprilgan, section.precision)
    elif section.method == "anomalyclip":
        method = AnomalyClip(encoder, section.anomalyclip, section.precision)
    elif section.method == "aaclip":
        method = AaClip(encoder, section.aaclip, section.precision)
    else:
        method = WinCLIP(encoder, section.winclip, section.precision)
    if section.compile:
        method.compile()
    take_runtime(method, section)
    return method
