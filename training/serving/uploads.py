"""The images that a request's body holds: as they are, as a form's files, or by their addresses."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from cluster.errors import nearest
from training.serving.messages import Asked

LONGEST_NAME = 255  # characters of an image's name in messages and answers
URIS = 1 << 20  # most bytes of a list of addresses
FORM, JSON = "multipart/form-data", "application/json"
# `curl --data-binary` says the first of itself unless told otherwise.
RAW = ("application/x-www-form-urlencoded", "application/octet-stream", "")
TRUTHS = {"1": True, "true": True, "0": False, "false": False}


class RefusedRequest(Exception):  # noqa: N818, an answer rather than a fault of ours
    """A request that gets no boxes.

    Attributes:
        status: HTTP status, 4xx or 503.
        wait: seconds after which it may be sent again; None where that would not help.
    """

    def __init__(self, status: int, sentence: str, wait: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.wait = status, wait


@dataclass(frozen=True)
class Options:
    """What the words after the `?` ask for; see `Asked`."""

    min_score: float
    drawn: bool = False

    @classmethod
    def of(cls, query: Mapping[str, str], min_score: float, *, drawn: bool) -> "Options":
        """Read them.

        Args:
            query: value by name.
            min_score: least score where none is named.
            drawn: whether a picture is the answer anyhow.

        Raises:
            RefusedRequest: an unknown name, or a value that can't be.
        """
        known = ("min_score",) if drawn else ("min_score", "overlay")
        for name in query:
            if name not in known:
                raise RefusedRequest(
                    400, f'"{name[:100]}" is no parameter here; {nearest(name[:100], known)}'
                )
        if "min_score" in query:
            min_score = _score(query["min_score"])
        if "overlay" in query:
            word = query["overlay"].lower()
            if word not in TRUTHS:
                raise RefusedRequest(400, "overlay is true or false.")
            drawn = TRUTHS[word]
        return cls(min_score, drawn)


def _score(text: str) -> float:
    if not re.fullmatch(r"[0-9]{0,3}\.?[0-9]{1,30}", text, re.ASCII) or not 0 <= float(text) < 1:
        raise RefusedRequest(400, "min_score is a number of at least 0 and below 1, as 0.25.")
    return float(text)


def asked_images(
    body: bytes, content_type: str, options: Options, *, max_images: int, by_address: bool
) -> list[Asked]:
    """The images of a body, in its order.

    Args:
        body: all of it.
        content_type: the header.
        options: what the query asks for.
        max_images: most images.
        by_address: whether images may be asked for by their address.

    Raises:
        RefusedRequest: no image, too many, or a body that is none of the three kinds.
    """
    kind, parameters = parse_options_header(content_type)
    kind = kind.lower()
    if kind == FORM:
        named = _form_files(body, parameters.get("boundary", ""), max_images)
        images = [Asked(name, data=data) for name, data in named]
    elif kind == JSON:
        if not by_address:
            raise RefusedRequest(403, "This server reads no images by their address: send the image itself.")
        images = [Asked(uri[:LONGEST_NAME], uri=uri) for uri in _addresses(body)]
    elif kind in RAW or kind.startswith("image/") or kind == "application/dicom":
        images = [Asked("image", data=body)]
    else:
        raise RefusedRequest(
            415, f"Images are sent as they are (image/png, …), as files of {FORM}, or by address in {JSON}."
        )
    if not images or any(not one.data and not one.uri for one in images):
        raise RefusedRequest(400, "There is no image in the request, or an empty one.")
    if len(images) > max_images:
        raise RefusedRequest(413, f"At most {max_images} images go into one request; send several.")
    score, drawn = options.min_score, options.drawn
    return [Asked(one.name, one.data, one.uri, score, drawn) for one in images]


def _form_files(body: bytes, boundary: str, max_images: int) -> list[tuple[str, bytes]]:
    try:
        return list(_parts(body, boundary.encode("ascii"), max_images))
    except RequestEntityTooLarge:
        raise RefusedRequest(413, f"At most {max_images} images go into one request; send several.") from None
    except (ValueError, LookupError):  # without its last boundary, too: images at the end would be lost
        raise RefusedRequest(400, "The form's parts can't be told apart; was all of it sent?") from None


def _parts(body: bytes, boundary: bytes, max_images: int) -> Iterator[tuple[str, bytes]]:
    if not boundary:
        raise ValueError("no boundary")
    decoder = MultipartDecoder(boundary, max_parts=max_images)
    decoder.receive_data(body)
    decoder.receive_data(None)
    name, data = "", bytearray()
    while not isinstance(event := decoder.next_event(), Epilogue | NeedData):
        if isinstance(event, Field):
            field = str(event.name)[:LONGEST_NAME]
            raise RefusedRequest(
                400, f'The form\'s field "{field}" is no file; send images as curl -F image=@photo.jpg does.'
            )
        if isinstance(event, File):
            name, data = event.filename[:LONGEST_NAME] or "image", bytearray()
        elif isinstance(event, Data):
            data += event.data
            if not event.more_data:
                yield name, bytes(data)


def _addresses(body: bytes) -> list[str]:
    wanted = 'The JSON is {"uri": ADDRESS} or {"uris": [ADDRESS, ...]}.'
    if len(body) > URIS:
        raise RefusedRequest(413, "A list of addresses has at most a MiB.")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedRequest(400, wanted) from None
    if not isinstance(document, dict) or len(document) != 1:
        raise RefusedRequest(400, wanted)
    uris = document["uris"] if "uris" in document else [document.get("uri")]
    if not isinstance(uris, list) or not all(isinstance(uri, str) and uri for uri in uris):
        raise RefusedRequest(400, wanted)
    return uris
