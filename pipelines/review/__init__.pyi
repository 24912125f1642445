from .decisions import FILE, FOLDER, LeftOut, left_out, read_decisions
from .gallery import Gallery
from .server import ReviewServer
from .serving import review_server
from .stored_maps import find_maps

__all__ = [
    "FILE",
    "FOLDER",
    "Gallery",
    "LeftOut",
    "ReviewServer",
    "find_maps",
    "left_out",
    "read_decisions",
    "review_server",
]
