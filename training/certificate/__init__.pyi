from .leak import Leak, find_leak
from .section import CertifySection
from .stage import DEFECTS, JSON_FILE, PAGE_FILE, Certified, certify_detector

__all__ = [
    "DEFECTS",
    "JSON_FILE",
    "PAGE_FILE",
    "Certified",
    "CertifySection",
    "Leak",
    "certify_detector",
    "find_leak",
]
