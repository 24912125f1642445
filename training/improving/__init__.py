"""the loop from new images to a better version: a step at each call.

A round's record says what is done. All that takes long is a stage, so that a killed command goes on in it.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
