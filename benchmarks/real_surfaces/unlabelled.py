"""The images that a pretraining may see, as a folder for programs that know nothing of our corpus."""

import shutil
from pathlib import Path

import cv2

from cluster.stages import Artifact
from pipelines.images import read_image

DONE = "complete"


def unlabelled_images(corpus: Artifact, folder: Path) -> Path:
    """Write every image outside the held-out half as PNG, without labels, under a name that tells nothing.

    Args:
        corpus: the corpus stage's artifact.
        folder: parent of the folder that is made, once for a corpus.

    Returns:
        The folder of images.
    """
    target = folder / corpus.fingerprint[:12]
    if (target / DONE).is_file():
        return target / "images"
    if target.exists():
        shutil.rmtree(target)  # half-written
    (target / "images").mkdir(parents=True)
    rows = corpus.directory.read_table("manifest", columns=["image_id", "uri", "split"]).to_pylist()
    for row in rows:
        if row["split"] != "test":
            pixels = read_image(row["uri"])[..., ::-1]
            cv2.imwrite(str(target / "images" / f"{row['image_id']}.png"), pixels)
    (target / DONE).touch()  # last: its presence means all
    return target / "images"
