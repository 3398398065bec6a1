"""Colour correction with the official kit's meaning; needs neither fsspec nor datasets, and can be used alone.

The kit decodes sRGB, expands every pixel with the polynomial of Cheung et al. (2004, "A comparative study of the
characterisation of colour cameras by means of neural networks and polynomial transforms"), multiplies by the
colour-correction matrix (CCM), encodes sRGB, and truncates to uint8.  The correction is not linear: correcting after a
resize is not the same as before it.
"""

from .compiled import fastest_backend
from .correct import correct_color
from .polynomial import EXPANSIONS
from .srgb import decode_srgb, encode_srgb

__all__ = ["EXPANSIONS", "correct_color", "decode_srgb", "encode_srgb", "fastest_backend"]
