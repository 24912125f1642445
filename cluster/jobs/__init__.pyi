from .standing import standings, standings_json

__all__ = ["standings", "standings_json"]
