"""surface-clip: the small shipped CLIP, trained from scratch on generated surfaces and their captions."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.pos_embed import get_2d_sincos_pos_embed
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cluster.errors import UserError
from cluster.progress import progress
from pipelines.encoder import CONFIG_FILE, WEIGHTS_FILE, DenseEncoder, load_library, weights_digest
from pipelines.surfaces import CATEGORIES
from training.encoder.data import SurfacePool, augment, draw_looks, make_pool
from training.encoder.losses import step_losses
from training.encoder.section import SurfaceClipSettings
from training.encoder.state import Shard, TrainingState
from training.encoder.text import Captions, SentencePlaces

MODEL: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 140, "layers": 4, "width": 128, "head_width": 64, "patch_size": 10},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
MEAN, STD = [0.45, 0.45, 0.45], [0.25, 0.25, 0.25]
RECORD_FILE = "training.json"
WHITENING_FLOOR, WHITENED = 0.02, 0.7  # variance added before whitening, and the deviation after it


def train(out: Path, settings: SurfaceClipSettings, start: Path | None = None) -> dict[str, Any]:
    """Train surface-clip and write it as an open_clip model folder; an interrupted run is resumed.

    The text tower is trained first and locked; the image tower then learns captions, image scores, V-V patch
    embeddings by the generator's masks, and few-shot matching.

    Args:
        out: folder for `open_clip_config.json`, `open_clip_model.safetensors` (float16) and `training.json`.
        settings: the training's settings; a checkpoint with others is refused.
        start: model folder of an earlier training to go on from; its text tower stays. A new seed brings new
            surfaces.

    Returns:
        The training's record: settings, seconds, loss curve, and `start`, digest and record of the earlier
        training, or None.

    Raises:
        UserError: the folder can't be written, or holds a checkpoint of other settings or another start; the
            start is no surface-clip.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Encoder folder {out} can't be made: {error.strerror}.") from None
    torch.manual_seed(settings.seed)
    model = open_clip.CLIP(**MODEL)
    dense = DenseEncoder(model.visual)
    origin = None if start is None else load_encoder_start(model, start)
    pool = _pool(settings, dense.grid)
    if start is None:
        initialise(model, pool, torch.Generator().manual_seed(settings.seed))
    state = TrainingState(model, settings, origin, out / "checkpoint.pt")
    library, tokenizer = load_library().only(CATEGORIES), open_clip.get_tokenizer("ViT-B-32")
    state.resume()
    with _one_thread_an_operation():
        if state.done == 0 and start is None:
            train_text(model, SentencePlaces(library, tokenizer, MODEL["embed_dim"], settings.seed), settings)
        train_images(state, dense, pool, Captions(model, library, tokenizer))
    record = state.record()
    write_model(out, model, record)
    state.checkpoint.unlink(missing_ok=True)
    return record


def train_images(state: TrainingState, dense: DenseEncoder, pool: SurfacePool, captions: Captions) -> None:
    """Let the image tower learn until all steps are done, each part of a batch in a thread of its own.

    Args:
        state: fresh or resumed.
        dense: the model's image tower.
        pool: surfaces that batches are drawn from.
        captions: sentences' embeddings by the locked text tower.
    """
    settings = state.settings
    state.model.train()
    shard = partial(_shard, state.learnt, dense, pool, captions, settings.looks)
    with (
        progress("training surface-clip", settings.steps) as bar,
        ThreadPoolExecutor(settings.shards) as workers,
    ):
        bar.to(state.done)
        while state.done < settings.steps:
            seed = (settings.seed * settings.steps + state.done) * settings.shards
            state.update(list(workers.map(shard, range(seed, seed + settings.shards))))
            bar.to(state.done, state.note())


@contextmanager
def _one_thread_an_operation() -> Iterator[None]:
    """Operations without barriers lose little on a busy machine; a batch's parts have threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def load_encoder_start(model: nn.Module, folder: Path) -> dict[str, Any]:
    """Fill the model from a folder that `write_model` wrote; returns its digest and record.

    Raises:
        UserError: a file is missing or unreadable, or the weights are not a surface-clip's.
    """
    try:
        state = load_file(folder / WEIGHTS_FILE)
        model.load_state_dict({name: value.float() for name, value in state.items()})
        record = json.loads((folder / RECORD_FILE).read_text("utf-8"))
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise UserError(f"Start {folder} is no surface-clip model folder: {reason}") from None
    return {"weights": weights_digest(str(folder)), "record": record}


@torch.no_grad()
def initialise(model: open_clip.CLIP, pool: SurfacePool, rng: torch.Generator) -> None:
    """Start the image tower from whitened patches and sine-cosine positions.

    With random filters a patch's embedding holds little but its brightness, and hundreds of steps pass before
    it holds anything else.
    """
    visual = model.visual
    pixels, _ = augment(pool.images[:256], pool.cover[:256], rng)
    side, width = visual.conv1.kernel_size[0], visual.conv1.out_channels
    patches = normalised(pixels).unfold(2, side, side).unfold(3, side, side)
    patches = patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    count = min(width, patches.shape[1])
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    filters = (vectors / (values + WHITENING_FLOOR).sqrt()).T * WHITENED
    visual.conv1.weight[:count] = filters.view(count, *visual.conv1.weight.shape[1:])
    positions = get_2d_sincos_pos_embed(width, visual.grid_size[0], cls_token=True)
    visual.positional_embedding.copy_(torch.from_numpy(positions).float() * 0.5)


def train_text(model: open_clip.CLIP, places: SentencePlaces, settings: SurfaceClipSettings) -> None:
    """Bring the sentences to their places."""
    tower = [parameter for name, parameter in model.named_parameters() if not name.startswith("visual.")]
    tower = [parameter for parameter in tower if parameter is not model.logit_scale]
    optimizer = torch.optim.AdamW(tower, lr=2e-3, betas=(0.9, 0.98), weight_decay=0.0)
    with progress("training the text tower", settings.text_steps) as bar:
        for step in range(settings.text_steps):
            rng = torch.Generator().manual_seed(settings.seed * settings.text_steps + step)
            rate = 2e-3 * min(1.0, (step + 1) / 20) * (1 - step / settings.text_steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = places.loss(model, rng)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            bar.to(step + 1, f"distance {loss.item():.3f}")


def normalised(pixels: Tensor) -> Tensor:
    """Images in 0…1, normalised for the tower."""
    return (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def write_model(out: Path, model: nn.Module, record: dict[str, Any]) -> None:
    """Write an open_clip model folder: config, float16 weights with settings, `training.json`."""
    state = {name: value.detach().half().contiguous() for name, value in model.state_dict().items()}
    save_file(state, out / WEIGHTS_FILE, metadata={"training": json.dumps(record["settings"])})
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "squash"}
    config = {"model_cfg": MODEL, "preprocess_cfg": preprocess}
    (out / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    (out / RECORD_FILE).write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def _pool(settings: SurfaceClipSettings, grid: int) -> SurfacePool:
    with progress("generating surfaces", settings.pool) as bar:
        size = MODEL["vision_cfg"]["image_size"]
        return make_pool(settings.pool, seed=settings.seed, size=size, grid=grid, advance=bar.advance)


def _shard(
    learnt: nn.Module, dense: DenseEncoder, pool: SurfacePool, captions: Captions, looks: int, seed: int
) -> Shard:
    """Loss terms and gradients of one part of a batch."""
    rng = torch.Generator().manual_seed(seed)
    rows = draw_looks(pool, looks, rng)
    images, cover = augment(pool.images[rows], pool.cover[rows], rng)
    # bfloat16 is 1.4 × faster on processors that have it; weights and losses stay float32. The cache of
    # cast weights is shared between threads, which would make the rounding depend on their timing.
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        embedded = dense(normalised(images))
    scale = learnt.get_parameter("logit_scale")
    losses = step_losses(embedded, cover.flatten(1), pool.category[rows], pool.defect[rows], captions, scale)
    gradients = torch.autograd.grad(losses.total(), list(learnt.parameters()))
    return torch.stack([losses.contrastive, losses.image, losses.dense, losses.few]).detach(), gradients
