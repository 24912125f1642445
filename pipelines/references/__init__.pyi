from .page import config_patch, picture_name, references_patch, render_page, render_picture
from .proposal import CategoryProposal, eligible_images, propose

__all__ = [
    "CategoryProposal",
    "config_patch",
    "eligible_images",
    "picture_name",
    "propose",
    "references_patch",
    "render_page",
    "render_picture",
]
