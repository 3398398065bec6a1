"""Exact video frames by timestep; needs neither fsspec nor datasets, and can be used alone."""

from .decoder import VideoDecoder
from .pool import DecoderPool
from .source import ByteSource

__all__ = ["ByteSource", "DecoderPool", "VideoDecoder"]
