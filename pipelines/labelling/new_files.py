"""New files of a folder: made apart, then put into their places all together, or none of them."""

import filecmp
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path, PurePosixPath

from cluster.errors import UserError
from pipelines.images import ImageError, read_bytes
from pipelines.labelling.names import COPY, LINK


class NewFiles:
    """Files on their way into a folder; use it in a `with` block, whose end puts them there.

    They are written into a hidden folder on the same disk. A new folder appears with all its files at once;
    into an existing one they are moved one by one, and moved back when that fails.

    Args:
        folder: local folder, which need not exist.
        force: whether annotation files that exist are replaced; images never are.

    Raises:
        UserError: the folder can't be written; a file exists already.
    """

    def __init__(self, folder: Path, *, force: bool) -> None:
        self.folder, self.force = folder, force
        self._fresh = not os.path.lexists(folder)
        name = f".agssp-export-{secrets.token_hex(4)}"
        self._stage = (folder.absolute().parent if self._fresh else folder) / name
        self._owners: dict[str, str] = {}  # file → image that it is of
        self._made: set[Path] = set()

    def __enter__(self) -> "NewFiles":
        with self._told():
            self._stage.mkdir(parents=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                with self._told():
                    self._publish()
        finally:
            shutil.rmtree(self._stage, ignore_errors=True)

    @contextmanager
    def text(self, name: str) -> Iterator[TextIOWrapper]:
        """A UTF-8 file to write bit by bit."""
        path = self._place(name, name)
        with self._told(), path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    def write(self, name: str, text: str, image: str | None = None) -> None:
        """Write a small file.

        Args:
            name: path below the folder.
            text: the file's content.
            image: name of the image that it is of.

        Raises:
            UserError: another image has the same file already.
        """
        path = self._place(name, image or name)
        with self._told():
            path.write_text(text, encoding="utf-8", newline="\n")

    def image(self, name: str, uri: str, mode: str) -> None:
        """Link or copy an image; one that is there already, the same, stays as it is.

        Args:
            name: path below the folder.
            uri: the image's path or URI.
            mode: `link`, `copy`, or `none`, which does nothing.

        Raises:
            UserError: another file has that name; no link to a remote image or on this disk.
        """
        if mode not in (LINK, COPY):
            return
        remote = "://" in uri
        if remote and mode == LINK:
            raise UserError(
                f"{uri} is no local file and can't be linked; give --images copy or --images none."
            )
        here = self.folder / name
        if os.path.lexists(here):
            if not _same(here, uri):
                raise UserError(
                    f"{here} exists already and is another file than {uri}; choose another --out."
                )
            return
        path = self._place(name, uri)
        with self._told():
            try:
                if mode == LINK:
                    path.symlink_to(Path(uri).absolute())
                elif remote:
                    path.write_bytes(read_bytes(uri))
                else:
                    shutil.copyfile(uri, path)
            except ImageError as error:
                raise UserError(f"{uri} can't be copied: {error}; make the boxes anew.") from None

    def _place(self, name: str, image: str) -> Path:
        """Where a file is made, its folder made too."""
        owner = self._owners.setdefault(name, image)
        if owner != image:
            raise UserError(
                f"{owner} and {image} would share the file {name}, as they differ in their ending alone; "
                "rename one, or choose --to coco, --to cvat or --to label-studio."
            )
        here = self.folder / name
        if not self._fresh and os.path.lexists(here) and (here.is_dir() or not self.force):
            raise UserError(f"{here} exists already; choose another --out, or replace it by --force.")
        path = self._stage / "new" / PurePosixPath(name)
        if path.parent not in self._made:
            with self._told():
                path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(path.parent)
        return path

    def _publish(self) -> None:
        new, old = self._stage / "new", self._stage / "old"
        if self._fresh:
            new.mkdir(exist_ok=True)
            new.rename(self.folder)
            return
        moved: list[tuple[Path, Path | None]] = []  # what is in place now, and where the former one waits
        try:
            for name in self._owners:
                target, kept = self.folder / name, old / name
                target.parent.mkdir(parents=True, exist_ok=True)
                replaced = os.path.lexists(target)
                if replaced:
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    target.rename(kept)
                moved.append((target, kept if replaced else None))
                (new / name).rename(target)
        except BaseException:
            for target, former in reversed(moved):
                target.unlink(missing_ok=True)
                if former is not None:
                    former.rename(target)
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(
                f"Nothing was written into {self.folder} ({reason}); choose another --out."
            ) from None


def _same(here: Path, uri: str) -> bool:
    """Whether a file holds an image's bytes."""
    if not here.is_file():
        return False
    if "://" not in uri:
        return here.samefile(uri) or filecmp.cmp(here, uri, shallow=False)
    try:
        return here.read_bytes() == read_bytes(uri)
    except ImageError:
        return False
