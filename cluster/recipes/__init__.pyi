from .reading import recipe_notes, recipes

__all__ = ["recipe_notes", "recipes"]
