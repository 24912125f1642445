"""Sphinx' settings for `make docs`; the pages are Markdown, readable without it."""

from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

project = "agssp"
author = "The agssp authors"
extensions = ["myst_parser"]
exclude_patterns = ["generator", "_build"]
html_theme = "furo"
html_title = "agssp"
html_copy_source = False
html_show_copyright = False
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
# Formulas become MathML, which every browser draws: MathJax would be fetched from somebody's server.
html_math_renderer = "mathml"

# Appended to the first page, where a Git host would show it as code.
CONTENTS = """
```{toctree}
:hidden:
:caption: Guide

tutorial
howto/prompts
howto/banks
howto/trained-maps
howto/thresholds
howto/audit-boxes
howto/tiles
howto/exported-detectors
howto/exported-maps
howto/python
howto/clusters
howto/labelling-tools
howto/detectors
howto/few-labels
howto/next
howto/drift
howto/loop
howto/forecast
howto/painted-defects
howto/gain
howto/labelling
howto/serve
howto/certify
howto/x-ray
howto/extending
method
papers
papers-here
failures
security
```

```{toctree}
:hidden:
:caption: Reference

reference/cli
reference/config
reference/python
reference/tables
```

```{toctree}
:hidden:
:caption: Design

design
decisions/1-fingerprints
decisions/2-own-loop
decisions/3-outbox
decisions/4-checkpoints-by-id
decisions/5-ray-internals
decisions/6-one-exception
decisions/7-lazy-faces
```
"""


def _contents(_: Any, name: str, source: list[str]) -> None:
    if name == "index":
        source[0] += CONTENTS


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    formula = tex2mathml(node.astext(), as_block=True)
    translator.body.append(f'<div style="margin: 1em 0">{formula}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Add the renderer of formulas, and the pages' order."""
    app.connect("source-read", _contents)
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
