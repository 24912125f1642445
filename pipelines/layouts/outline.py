"""What the beginning of a label file shows of its format: the keys of JSON, the first tag of XML."""

import json
import re
from collections.abc import Iterator

DEPTH = 5  # keys and lists in each other that are looked into
LIST = "[]"  # a list's elements, in the place of a key

# A text that the cut goes through is not looked into: its colons and braces are no marks.
_TOKENS = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*+)(?:"|(?P<cut>\\?\Z))|(?P<mark>[\[\]{}:,])', re.DOTALL)
_BEFORE_XML = re.compile(r"\s*(?:<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>)", re.DOTALL)
_TAG = re.compile(r"\s*<(?P<name>[^\s<>/!?]+)")


def json_keys(head: bytes) -> frozenset[tuple[str, ...]]:
    """The keys in the beginning of a JSON file, each after the keys that it lies below.

    `{"images": [{"id": 1}]}` has `("images",)` and `("images", "[]", "id")`. The rest may be missing, damaged
    or something else than JSON: what can be seen counts.

    Args:
        head: the file's first bytes, in any encoding that JSON allows.
    """
    text = head.decode(json.detect_encoding(head), errors="replace")
    return frozenset(_keys(text)) if text.lstrip("\ufeff \t\r\n")[:1] in {"{", "["} else frozenset()


def _keys(text: str) -> Iterator[tuple[str, ...]]:
    places: list[str] = []  # of the lists and objects that are open: the key or `[]` that leads to the next
    last = ""
    for token in _TOKENS.finditer(text):
        mark = token["mark"]
        if token["cut"] is not None:
            return
        if mark is None:
            last = token["text"]
        elif mark == "{":
            places.append("")
        elif mark == "[":
            places.append(LIST)
        elif mark == ":":
            if places and places[-1] != LIST:
                places[-1] = last
                if len(places) <= DEPTH:
                    yield tuple(places)
        elif mark in "]}":
            if not places:
                return
            places.pop()


def xml_root(head: bytes) -> str:
    """The name of the first tag in the beginning of an XML file; empty where there is none.

    Args:
        head: the file's first bytes, in UTF-8, UTF-16 or any encoding that begins like ASCII.
    """
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = head.decode("utf-16" if wide else "utf-8-sig", errors="replace")
    place = 0
    while before := _BEFORE_XML.match(text, place):
        place = before.end()
    tag = _TAG.match(text, place)
    return tag["name"] if tag else ""
