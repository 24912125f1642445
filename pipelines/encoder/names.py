"""Names of encoders, without the library that loads them."""

SHIPPED = "surface-clip"
# The paper's names of its three encoders (Table 4), with open_clip's name and pretrained tag. OpenAI trained
# with QuickGELU, which open_clip's plain ViT-L-14-336 lacks.
PRESETS = {
    "base": ("ViT-B-16-plus-240", "laion400m_e32"),
    "large": ("ViT-L-14-336-quickgelu", "openai"),
    "huge": ("ViT-H-14-378-quickgelu", "dfn5b"),
}
