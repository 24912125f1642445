"""Settings of the training of surface-clip."""

from pydantic import Field

from cluster.config import Section


class SurfaceClipSettings(Section):
    """Training of surface-clip; benchmarks/README.md says how the shipped weights were made."""

    seed: int = Field(0, ge=0)
    text_steps: int = Field(300, gt=0, description="of the text tower alone, before it is locked")
    steps: int = Field(4500, gt=0)
    looks: int = Field(6, gt=0, description="production lines' categories in a shard, four surfaces each")
    shards: int = Field(2, gt=0, description="parts of a batch, each computed by a thread of its own")
    pool: int = Field(40_000, gt=0, description="distinct generated surfaces, each seen several times")
    learning_rate: float = Field(1e-3, gt=0)
    warmup: int = Field(40, ge=0, description="steps")
    weight_decay: float = Field(0.05, ge=0)
    checkpoint_every: int = Field(100, gt=0, description="steps")
