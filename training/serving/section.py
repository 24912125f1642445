"""The config of a served detector."""

import ipaddress
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from cluster.config import Section
from cluster.config_paths import Location
from training.models import LookPrecision

Root = Annotated[Location, Field(min_length=1)]


class ServeSection(Section):
    """How `agssp serve` answers.

    Attributes:
        host: address to listen on; beyond this machine (`0.0.0.0`) every request needs the token.
        port: port to listen on; 0 takes a free one.
        token_file: file of the token, at least 16 characters; `AGSSP_SERVE_TOKEN` in the environment wins.
            Without either one is made and printed where others than this machine can ask, and none is needed
            otherwise.
        replicas: processes that hold the detector.
        cpus_per_replica: CPUs of each, and its threads.
        gpus_per_replica: GPUs of each; 0 runs on CPUs, a fraction shares one.
        batch_size: most images that a replica detects at once.
        batch_wait_ms: how long the first image of a batch waits for others, milliseconds.
        precision: see `predict.precision`.
        min_score: least score of a box, where the request names none.
        max_mb: most MiB of a request.
        max_pixels: most pixels of an image.
        max_images: most images of a request.
        queue: most images that wait or are looked at; requests beyond are told to come again (429).
        queue_mb: most MiB of the requests that wait.
        timeout_s: seconds in which a request is read, and in which it is answered.
        poll_s: seconds between two looks at the registry.
        metric: figure of the registry by which a version is worse than the one that is served.
        roots: folders, local (on the replicas' machines) or by URI, whose images may be asked for by their
            address; none by default.
    """

    host: str = Field(default="127.0.0.1", min_length=1, max_length=253)
    port: int = Field(default=8000, ge=0, le=65535)
    token_file: Location = ""
    replicas: int = Field(default=1, ge=1, le=1024)
    cpus_per_replica: float = Field(default=1, gt=0, le=1024)
    gpus_per_replica: float = Field(default=0, ge=0, le=8)
    batch_size: int = Field(default=8, ge=1, le=1024)
    batch_wait_ms: float = Field(default=5, ge=0, le=10_000)
    precision: LookPrecision = "fp32"
    min_score: float = Field(default=0.25, ge=0, lt=1)
    max_mb: float = Field(default=32, gt=0, le=512)
    max_pixels: int = Field(default=50_000_000, ge=64, le=100_000_000)
    max_images: int = Field(default=16, ge=1, le=1024)
    queue: int = Field(default=64, ge=1, le=100_000)
    queue_mb: float = Field(default=512, gt=0, le=65_536)
    timeout_s: float = Field(default=60, gt=0, le=3600)
    poll_s: float = Field(default=10, ge=0.1, le=3600)
    metric: str = Field(default="map50", min_length=1, max_length=100)
    roots: tuple[Root, ...] = ()

    @field_validator("roots")
    @classmethod
    def _plain_roots(cls, roots: tuple[str, ...]) -> tuple[str, ...]:
        for root in roots:
            if root.startswith("file:") or "?" in root or "#" in root:
                raise ValueError("a root is a local folder's path or a URI without ? and #")
        return roots

    @model_validator(mode="after")
    def _fitting(self) -> "ServeSection":
        if self.max_images > self.queue:
            raise ValueError(f"queue={self.queue} must hold the max_images={self.max_images} of a request")
        if self.max_mb > self.queue_mb:
            raise ValueError(f"queue_mb={self.queue_mb:g} must hold the max_mb={self.max_mb:g} of a request")
        return self

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine can reach the host."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name
            return self.host == "localhost"

    @property
    def max_bytes(self) -> int:
        """Most bytes of a request."""
        return int(self.max_mb * 2**20)
