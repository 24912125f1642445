"""WinCLIP: the baseline that KeAD is compared with (Jeong et al., CVPR 2023, arXiv 2303.14814)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from cluster.errors import UserError
from pipelines.encoder import (
    CategoryPrompts,
    DenseEmbeddings,
    LoadedEncoder,
    exact,
    require_dense_vit,
)
from pipelines.maps.method import CategoryState, MapMethod, MapOutput, anomaly_probability, nearest_distance
from pipelines.maps.section import Precision, WinclipSettings

SCALES = (2, 3)  # sides of the windows in patches; the whole image is the third scale
WINDOWS_AT_ONCE = 4096  # a huge encoder has 1,301 windows an image: a whole batch of them would not fit


def window_patches(grid: int, side: int) -> Tensor:
    """Patch numbers (row order, from 0) of every window, stride 1, in row order: (windows, side²), int64."""
    numbers = torch.arange(grid * grid, dtype=torch.float64).view(1, 1, grid, grid)
    return F.unfold(numbers, side)[0].T.long()


def harmonic_map(window_scores: Tensor, grid: int, side: int) -> Tensor:
    """Each patch's harmonic mean of the scores of the windows that cover it.

    Args:
        window_scores: (B, windows) ≥ 0, in the order of `window_patches`; a zero makes the mean zero.
        grid: patches along one side of the image.
        side: patches along one side of a window.

    Returns:
        (B, grid, grid).
    """
    inverse = window_scores.reciprocal()[:, None].expand(-1, side * side, -1)
    covering = F.fold(torch.ones_like(inverse[:1]), grid, side)
    return (covering / F.fold(inverse, grid, side))[:, 0]


class WinCLIP(MapMethod):
    """Maps and scores in 0…1 from windows of 2 and 3 patches; each passes the encoder by itself.

    Zero-shot: each window's score against the texts, spread over its patches by the harmonic mean; then the
    harmonic mean over the scales, the largest of which is the whole image. Few-shot: cosine distance
    to the nearest window (and last-layer patch) of the references, averaged over the scales; the map is the
    mean of both, the image score the mean of s(c) and the largest few-shot distance. Prompts are the generic
    states; defect features are KeAD's.

    Args:
        encoder: the vision-language encoder; it stays on its device.
        settings: the method's options.
        precision: see `MapMethod`.

    Raises:
        UserError: an image tower without patch embeddings, or with fewer patches than a window.
    """

    def __init__(
        self, encoder: LoadedEncoder, settings: WinclipSettings, precision: Precision = "fp32"
    ) -> None:
        self.settings = settings
        self.visual = require_dense_vit(encoder.visual)
        grid = int(self.visual.grid_size[0])
        if grid < max(SCALES):
            raise UserError(
                f"The encoder sees {grid}×{grid} patches, WinCLIP's windows need {max(SCALES)}×{max(SCALES)};"
                " choose an encoder of larger images or smaller patches."
            )
        super().__init__(encoder, settings.shots, grid, precision)
        self._windows = [window_patches(grid, side).to(self.device) for side in SCALES]

    @property
    def describes(self) -> bool:
        """See `MapMethod.describes`: WinCLIP's paper has generic states alone."""
        return False

    def text_embeddings(self, prompts: CategoryPrompts) -> tuple[Tensor, Tensor]:
        """The compositional prompt ensemble of generic states."""
        return self.sentence_means(prompts)

    def embed_normalised(self, images: Tensor) -> DenseEmbeddings:
        """Image embedding; last-layer patches (not projected, (B, g², width)), then windows by scale."""
        visual = self.visual
        with exact(images):
            tokens = visual._embeds(images)
        pooled, patches = visual._pool(visual.transformer(tokens))
        windows = [self._window_embeddings(tokens, windows) for windows in self._windows]
        return DenseEmbeddings(
            cls=F.normalize(pooled @ visual.proj, dim=-1), patches=[F.normalize(patches, dim=-1), *windows]
        )

    def match(self, embedded: DenseEmbeddings, state: CategoryState) -> MapOutput:
        """Zero-shot, or zero- and few-shot, scores and maps."""
        tau, grid = self.settings.temperature, self.grid
        text_score = anomaly_probability(embedded.cls, state.t_n, state.t_a, tau)
        scales = [text_score[:, None, None].expand(-1, grid, grid)]
        for side, windows in zip(SCALES, embedded.patches[1:], strict=True):
            scales.append(harmonic_map(anomaly_probability(windows, state.t_n, state.t_a, tau), grid, side))
        maps = len(scales) / torch.stack(scales).reciprocal().sum(0)
        if not state.banks:
            return MapOutput(text_score, text_score, maps)
        distances = [
            nearest_distance(patches, bank)
            for patches, bank in zip(embedded.patches, state.banks, strict=True)
        ]
        few = [distances[0].view(-1, grid, grid)]
        few += [harmonic_map(far, grid, side) for side, far in zip(SCALES, distances[1:], strict=True)]
        few_map = torch.stack(few).mean(0)
        return MapOutput((text_score + few_map.amax((1, 2))) / 2, text_score, (maps + few_map) / 2)

    def _window_embeddings(self, tokens: Tensor, windows: Tensor) -> Tensor:
        """(B, windows, D) L2-normalised: a window's patches and the class token are an image of their own.

        Args:
            tokens: (B, 1 + g², width), class token first, with positions, before the first block.
            windows: result of `window_patches`.
        """
        visual = self.visual
        count = len(tokens)
        with_class = F.pad(windows + 1, (1, 0))  # the class token is number 0
        embedded = []
        for part in torch.split(with_class, max(1, WINDOWS_AT_ONCE // count)):
            cut = tokens[:, part].flatten(0, 1)
            pooled, _ = visual._pool(visual.transformer(cut))
            embedded.append((pooled @ visual.proj).view(count, len(part), -1))
        return F.normalize(torch.cat(embedded, 1), dim=-1)
