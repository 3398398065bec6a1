"""Pictures and clips as the bytes that a shard holds; equal pictures give equal bytes wherever the encoder is the same.

``encoder_for`` names the encoder of this machine.  A plan keeps that name, and a worker that does not have it refuses.
Versions of an encoder are not told apart: nodes that are to give equal bytes need the same ones.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PrepareError
from .options import PrepareOptions

Picture = NDArray[np.uint8]
Timed = Callable[[str], AbstractContextManager[None]]
SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
#: What encodes JPEG: a library that is there in any case, and a faster one.
PILLOW, SIMPLEJPEG = "pillow", "simplejpeg"


def encoder_for(options: PrepareOptions) -> str:
    """The encoder that this machine takes: ``"simplejpeg"`` or ``"pillow"``; ``"x264"`` for clips."""
    if options.rows == "video":
        return "x264"
    if options.image_format == "jpeg":
        try:
            import simplejpeg  # noqa: F401
        except ImportError:
            return PILLOW
        return SIMPLEJPEG
    return PILLOW


def picture_encoder(options: PrepareOptions, encoder: str) -> Callable[[Picture], bytes]:
    """What turns ``(H, W, 3)`` uint8 RGB into the bytes of a picture file.

    Raises:
        PrepareError: If this machine does not have the encoder.
    """
    if encoder == SIMPLEJPEG and options.image_format == "jpeg":
        try:
            import simplejpeg
        except ImportError:
            simplejpeg = None
        if simplejpeg is None:
            raise PrepareError(
                "The plan was made where simplejpeg encodes JPEG, and it is not installed here; other encoders give "
                "other bytes. Install it (`pip install simplejpeg`) here, or plan again without it."
            )
        return lambda picture: simplejpeg.encode_jpeg(
            np.ascontiguousarray(picture), quality=options.quality, colorspace="RGB", colorsubsampling="420"
        )
    return lambda picture: _encode_with_pillow(picture, options)


def _encode_with_pillow(picture: Picture, options: PrepareOptions) -> bytes:
    import PIL.Image

    of_format: dict[str, dict[str, Any]] = {
        "jpeg": {"quality": options.quality, "subsampling": "4:2:0"},
        "png": {"compress_level": 6},
        "webp": {"quality": options.quality, "method": 4},
    }
    settings = of_format[options.image_format]
    buffer = io.BytesIO()
    PIL.Image.fromarray(picture).save(buffer, options.image_format, **settings)
    return buffer.getvalue()


def encode_png(picture: NDArray[Any]) -> bytes:
    """A picture ``(H, W)`` or ``(H, W, 3)`` of uint8, or a mask of bool, as PNG: lossless."""
    import PIL.Image

    if picture.dtype == np.bool_:
        picture = picture.astype(np.uint8) * 255
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "png", compress_level=6)
    return buffer.getvalue()


def encode_clip(pictures: Iterable[Picture], fps: float, options: PrepareOptions, timed: Timed) -> bytes:
    """An H.264 mp4 of RGB pictures, with a keyframe every ``options.gop`` of them; one thread, so always the same.

    Sizes that are odd lose nothing: 4:4:4 is used where 4:2:0 would need even ones.

    Raises:
        PrepareError: If this machine's PyAV cannot encode it.
    """
    import av

    problem = ""
    try:
        return _encode_clip(pictures, fps, options, timed)
    except av.FFmpegError as error:
        problem = str(error)
    raise PrepareError(f"A clip cannot be encoded: {problem}. Does this PyAV have libx264?")


def _encode_clip(pictures: Iterable[Picture], fps: float, options: PrepareOptions, timed: Timed) -> bytes:
    import av
    from av.video.reformatter import VideoReformatter

    buffer, stream, reformatter = io.BytesIO(), None, VideoReformatter()
    with av.open(buffer, "w", format="mp4", options={"fflags": "bitexact"}) as container:
        for picture in pictures:
            with timed("encode"):
                if stream is None:
                    stream = _add_stream(container, picture, fps, options)
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                for packet in stream.encode(reformatter.reformat(frame, format=stream.pix_fmt, threads=1)):
                    container.mux(packet)
            del picture, frame  # not held while the next one is decoded
        if stream is not None:
            for packet in stream.encode():
                container.mux(packet)
    return buffer.getvalue()


def _add_stream(container: Any, picture: Picture, fps: float, options: PrepareOptions) -> Any:
    height, width = picture.shape[:2]
    stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
    stream.width, stream.height = width, height
    stream.pix_fmt = "yuv420p" if width % 2 == height % 2 == 0 else "yuv444p"
    stream.codec_context.thread_count = 1
    # With mbtree, x264 takes in what lies in memory beside small pictures: equal ones gave up to five different clips.
    parameters = f"keyint={options.gop}:scenecut=0:mbtree=0"
    settings = {"crf": str(options.crf), "preset": "fast", "x264-params": parameters}
    stream.options = {**settings, "flags": "+bitexact+cgop"}
    return stream
