from .ledger import Budget
from .request import Request, check_search
from .search import run_search

__all__ = ["Budget", "Request", "check_search", "run_search"]
