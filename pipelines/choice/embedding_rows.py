"""One embedding an image: the vision-language encoder's own, of the whole image."""

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from cluster.on_ray import Sender, machine_cpus
from cluster.storage import Storage
from pipelines.encoder import LoadedEncoder, load_encoder
from pipelines.maps import MapsSection, readable_rows
from pipelines.tables import write_errors

EMBEDDINGS_FOLDER = "embeddings"


@torch.inference_mode()
def embedded(encoder: LoadedEncoder, pixels: Tensor) -> Tensor:
    """Image embeddings, (B, D) float32 L2-normalised.

    Args:
        encoder: the encoder, on its device.
        pixels: (B, 3, S, S) uint8 RGB.
    """
    device = next(encoder.model.parameters()).device
    mean, std = (torch.tensor(each, device=device).view(3, 1, 1) for each in (encoder.mean, encoder.std))
    scaled = (pixels.to(device).float() / 255 - mean) / std
    model = encoder.model
    features: Tensor = model.encode_image(scaled)  # type: ignore[operator]
    return F.normalize(features.float(), dim=-1).cpu()


class EmbeddingActor:
    """Holds the encoder; embeds decoded batches. Unreadable rows are left out, their reasons written.

    Args:
        section: the maps' config, whose encoder it takes.
        cuda: whether the actor has (a share of) a GPU.
        neighbours: number of actors that share the device.
        errors: directory for `write_errors`.
        counter: counter of finished images.
    """

    def __init__(
        self, section: MapsSection, cuda: bool, neighbours: int, errors: Storage, counter: Sender
    ) -> None:
        torch.set_num_threads(max(1, machine_cpus() // neighbours))
        device = "cuda" if cuda else "cpu"
        self.encoder = load_encoder(section.encoder.model, section.encoder.weights, device=device)
        self.errors, self.counter = errors, counter

    def __call__(self, rows: pa.Table) -> pa.Table:
        write_errors(rows, self.errors)
        done = embedding_rows(self.encoder, readable_rows(rows))
        self.counter.add(rows.num_rows)
        return done


def embedding_schema(width: int) -> pa.Schema:
    """Schema of the embeddings' table; `embedding` has so many numbers."""
    tensor = pa.fixed_shape_tensor(pa.float16(), (width,))
    return pa.schema([("image_id", pa.string()), ("embedding", tensor)])


def embedding_rows(encoder: LoadedEncoder, rows: pa.Table) -> pa.Table:
    """Readable decoded rows as `image_id` and `embedding`, float16 (D,), L2-normalised.

    Args:
        encoder: the encoder.
        rows: result of `readable_rows`.
    """
    side = encoder.image_size
    pixels = torch.zeros(1, 3, side, side, dtype=torch.uint8)  # gives an empty column's length
    if rows.num_rows:
        pixels = torch.from_numpy(rows.column("pixels").combine_chunks().to_numpy_ndarray().copy())
    values = embedded(encoder, pixels).numpy().astype(np.float16)
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(values))
    columns = [rows.column("image_id"), column[: rows.num_rows]]
    return pa.table(columns, schema=embedding_schema(values.shape[1]))
