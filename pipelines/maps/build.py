"""The map method that a config asks for, over its encoder."""

from pipelines.encoder import LoadedEncoder, load_encoder
from pipelines.maps.kead import KeAD
from pipelines.maps.method import MapMethod
from pipelines.maps.section import MapsSection
from pipelines.maps.winclip import WinCLIP


def build_method(section: MapsSection, device: str) -> MapMethod:
    """The chosen method over the section's encoder, loaded onto a torch device.

    Raises:
        UserError: see `load_encoder`, `KeAD` and `WinCLIP`.
    """
    return method_over(load_encoder(section.encoder.model, section.encoder.weights, device=device), section)


def method_over(encoder: LoadedEncoder, section: MapsSection) -> MapMethod:
    """The chosen method over a loaded encoder.

    Raises:
        UserError: see `KeAD` and `WinCLIP`.
    """
    method: MapMethod
    if section.method == "kead":
        method = KeAD(encoder, section.kead, section.precision)
    else:
        method = WinCLIP(encoder, section.winclip, section.precision)
    if section.compile:
        method.compile()
    return method
