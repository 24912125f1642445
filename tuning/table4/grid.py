"""The rows of Table 4 that are measured, and the config of each; no PyTorch here."""

from dataclasses import dataclass
from typing import Literal

from pipelines.banks import BankSection
from pipelines.maps import MapsSection


@dataclass(frozen=True)
class MethodRow:
    """Method and options of one row; only KeAD's rows differ in `defect_features` and `vv`."""

    model: Literal["WinCLIP", "April-GAN", "AnomalyCLIP", "AA-CLIP", "KeAD"]
    mode: Literal["zero", "few"]
    defect_features: bool = False
    vv: bool = False

    @property
    def marks(self) -> dict[str, bool | None]:
        """`defect_features` and `vv` as the paper prints them: of trained methods neither."""
        trained = self.model not in ("WinCLIP", "KeAD")
        both = {"defect_features": self.defect_features, "vv": self.vv}
        return {name: None if trained else value for name, value in both.items()}

    @property
    def key(self) -> str:
        """File name of its result, e.g. `kead-few-df-vv`."""
        parts = [self.model.lower(), self.mode]
        return "-".join(parts + ["df"] * self.defect_features + ["vv"] * self.vv)

    def section(self, base: MapsSection) -> MapsSection:
        """The maps stage's config for this row; few-shot takes the config's own number of references."""
        kead = base.kead.model_copy(update={"defect_features": self.defect_features, "vv": self.vv})
        winclip, aprilgan = base.winclip, base.aprilgan
        if self.mode == "zero":
            none = {"shots": 0}
            kead, winclip = kead.model_copy(update=none), winclip.model_copy(update=none)
            aprilgan = aprilgan.model_copy(update=none)
        method = self.model.lower().replace("-", "")
        sections = {"kead": kead, "winclip": winclip, "aprilgan": aprilgan}
        update = {"method": method, **sections, "bank": BankSection()}
        return base.model_copy(update=update)  # each method with its own bank, as in the paper


ROWS = (
    *(MethodRow("WinCLIP", mode) for mode in ("zero", "few")),
    *(MethodRow("April-GAN", mode) for mode in ("zero", "few")),
    MethodRow("AnomalyCLIP", "zero"),
    MethodRow("AA-CLIP", "zero"),
    *(
        MethodRow("KeAD", mode, df, vv)
        for mode in ("zero", "few")
        for df in (False, True)
        for vv in (False, True)
    ),
)
