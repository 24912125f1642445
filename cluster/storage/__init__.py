"""bytes at a path or URI, and URIs without secrets."""
