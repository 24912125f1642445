"""pixels kept while they fit, and drawing on them."""
