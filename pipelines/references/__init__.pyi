from .page import config_patch, picture_name, references_patch, render_page, render_picture
from .proposal import CategoryProposal, eligible_images, propose
from .proposing import propose_references

__all__ = [
    "CategoryProposal",
    "config_patch",
    "eligible_images",
    "picture_name",
    "propose",
    "propose_references",
    "references_patch",
    "render_page",
    "render_picture",
]
