"""What is said of a video that cannot be used: the same when the work is planned and when it is done."""

from __future__ import annotations

from ..errors import FrameError
from ..layout import AssetPath


def unusable(asset: AssetPath, problem: str) -> FrameError:
    """The error of a video that is there and cannot be used, with what to do.

    Args:
        asset: The video, as ``without=`` takes it.
        problem: What is wrong with it.
    """
    return FrameError(
        f"{problem.rstrip('.')}. If the file is damaged, download it again, or plan again without it: "
        f'without=["{asset}"] (--without {asset}).'
    )
