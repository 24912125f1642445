"""The map method that a config asks for, over its encoder."""

from pipelines.banks import CLIP
from pipelines.encoder import LoadedEncoder, input_size, load_encoder
from pipelines.maps.bank_method import BankMethod
from pipelines.maps.kead import KeAD
from pipelines.maps.method import MapMethod
from pipelines.maps.runtime import take_runtime
from pipelines.maps.section import MapsSection
from pipelines.maps.winclip import WinCLIP


def build_method(section: MapsSection, device: str) -> MapMethod:
    """The chosen method over the section's encoder, loaded onto a torch device.

    Raises:
        UserError: see `load_encoder`, `KeAD` and `WinCLIP`.
    """
    return method_over(load_encoder(section.encoder.model, section.encoder.weights, device=device), section)


def side_of(section: MapsSection) -> int:
    """Pixels of the side that the chosen method takes images at, without building it.

    Raises:
        UserError: see `input_size`.
    """
    side = input_size(section.encoder.model, section.encoder.weights)
    return side if section.bank.encoder == CLIP else max(side, section.bank.size)


def method_over(encoder: LoadedEncoder, section: MapsSection) -> MapMethod:
    """The chosen method over a loaded encoder.

    Raises:
        UserError: see `KeAD`, `BankMethod`, `WinCLIP` and `take_runtime`.
    """
    method: MapMethod
    if not section.bank.own:
        method = BankMethod(encoder, section.kead, section.bank, section.precision)
    elif section.method == "kead":
        method = KeAD(encoder, section.kead, section.precision)
    else:
        method = WinCLIP(encoder, section.winclip, section.precision)
    if section.compile:
        method.compile()
    take_runtime(method, section)
    return method
