"""Exact video frames by timestep; needs neither fsspec nor datasets, and can be used alone."""

from .decoder import VideoDecoder
from .pool import DecoderPool
from .resize import resize_picture
from .source import ByteSource

__all__ = ["ByteSource", "DecoderPool", "VideoDecoder", "resize_picture"]
