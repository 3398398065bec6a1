"""``correct_color``: what it takes, and which path a picture goes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CalibrationError, SelectionError
from .arrays import correct_floats, correct_uint8
from .compiled import correct_compiled, load
from .plan import Plan, plan_correction
from .polynomial import check_ccm

if TYPE_CHECKING:
    import torch

_BACKENDS = ("auto", "numba", "numpy")


def correct_color(image: Any, ccm: Any, *, channels_first: bool = False, backend: str = "auto") -> Any:
    """Correct the colours of a picture, as the official kit's ``correct_color`` does.

    Decode sRGB, expand each pixel with the polynomial of Cheung et al. (2004) with as many terms as the CCM has columns
    (3 is the plain matrix), multiply by the CCM, encode sRGB; for uint8 also multiply by 255, clip and truncate.

    uint8 goes through float32, and through tables or polynomials for the sRGB curves, and gives the kit's values: what
    float32 leaves unsure is redone in float64, and matrices with large coefficients are evaluated in float64 as a whole
    (how that is decided stands in ``nersemble.color.plan``).  Large pictures use all cores this process may use, but
    one in worker processes.

    Args:
        image: ``(..., 3)`` RGB, a picture or any batch, contiguous or not: uint8, or float32 or float64 of 0 to 1 in
            sRGB encoding.  A torch tensor is corrected on its device; gradients flow through floats.
        ccm: ``(3, T)``, T one of 3, 4, 5, 7, 8, 10, 11, 14, 16, 17, 19, 20, 22 or 35, such as the column ``ccm``.
        channels_first: The picture is ``(..., 3, H, W)``, as the torch format of ``datasets`` gives it.
        backend: For arrays of uint8, and tensors of it on the CPU: ``numba`` or ``numpy`` insists on one, and ``auto``
            takes numba where it works (``nersemble.color.fastest_backend`` says).

    Returns:
        A new array or tensor of the same shape.  uint8 for uint8.  Floats are not clipped, so values outside of 0 to 1
        are possible; arrays of them give float64 as in the kit, tensors their own type.

    Raises:
        CalibrationError: If the CCM or the picture has another shape or type, or the CCM is not finite, or has numbers
            that a picture of float32 cannot hold.
        SelectionError: If there is no such backend, or numba is insisted on and does not work.
    """
    if backend not in _BACKENDS:
        raise SelectionError(f"backend is one of {', '.join(_BACKENDS)}, not {backend!r}.")
    # Nothing is a tensor where nobody has imported torch.
    tensor = getattr(sys.modules.get("torch"), "Tensor", ())
    if isinstance(ccm, tensor):
        from .tensors import as_array

        ccm = as_array(ccm)
    plan = plan_correction(check_ccm(ccm))
    if isinstance(image, tensor):
        return _correct_tensor(image, plan, channels_first, backend)
    return _correct_array(_as_array(image), plan, channels_first, backend)


def _as_array(image: Any) -> NDArray[Any]:
    problem = ""
    try:
        return np.asarray(image)
    except (TypeError, ValueError) as error:  # lists of unequal length
        problem = str(error)
    raise CalibrationError(f"A picture to correct is an array: {problem}")


def _correct_tensor(image: torch.Tensor, plan: Plan, channels_first: bool, backend: str) -> torch.Tensor:
    import torch

    from .tensors import check_dense, correct_float_tensor, correct_uint8_tensor, is_on_host

    check_dense(image, "A picture to correct")
    _check_picture(tuple(image.shape), str(image.dtype), channels_first)
    channels = -3 if channels_first else -1
    if image.dtype != torch.uint8:
        return correct_float_tensor(image, plan, channels)
    if is_on_host(image) or plan.hopeless:
        corrected = torch.from_numpy(_correct_array(image.cpu().numpy(), plan, channels_first, backend))
        return corrected.to(image.device)
    last = image.movedim(channels, -1)
    return correct_uint8_tensor(last.reshape(-1, 3), plan).reshape(last.shape).movedim(-1, channels).contiguous()


def _correct_array(
    image: NDArray[Any], plan: Plan, channels_first: bool, backend: str
) -> NDArray[np.uint8] | NDArray[np.float64]:
    """``correct_color`` of an array, by a matrix that was worked out."""
    _check_picture(image.shape, image.dtype.name, channels_first)
    last = np.moveaxis(image, -3, -1) if channels_first else image
    pixels = np.ascontiguousarray(last).reshape(-1, 3)
    corrected: NDArray[Any] = np.empty(pixels.shape, np.uint8 if image.dtype == np.uint8 else np.float64)
    if image.dtype != np.uint8:
        correct_floats(pixels, plan, corrected)
    elif (compiled := _compiled(backend)) is None or plan.hopeless:
        correct_uint8(pixels, plan, corrected)
    else:
        correct_compiled(compiled, pixels, plan, corrected)
    result = corrected.reshape(last.shape)
    return np.ascontiguousarray(np.moveaxis(result, -1, -3)) if channels_first else result


def _check_picture(shape: tuple[int, ...], dtype: str, channels_first: bool) -> None:
    """Refuse what is no picture.

    Raises:
        CalibrationError: If it is not.
    """
    wanted = "(..., 3, H, W)" if channels_first else "(..., 3)"
    if channels_first and (len(shape) < 3 or shape[-3] != 3):
        raise CalibrationError(f"With channels_first, a picture to correct is {wanted} RGB, not of shape {shape}.")
    if not channels_first and shape[-1:] != (3,):
        hint = " Pass channels_first=True for (..., 3, H, W)." if len(shape) > 2 and shape[-3] == 3 else ""
        raise CalibrationError(f"A picture to correct is {wanted} RGB, not of shape {shape}.{hint}")
    if dtype.removeprefix("torch.") not in ("uint8", "float32", "float64"):
        raise CalibrationError(
            f"A picture to correct is uint8, or float32 or float64 of 0 to 1, not {dtype}. Convert it first: what its "
            "values mean is not known here."
        )


def _compiled(backend: str) -> Any:
    if backend == "numpy":
        return None
    compiled, problem = load()
    if compiled is None and backend == "numba":
        raise SelectionError(
            f"numba does not work here ({problem}). Install the extra `fast` of this package, or leave backend out to "
            "use NumPy."
        )
    return compiled
