"""The guide: Markdown pages, and the generator of its reference."""
