"""Colour correction of torch tensors, on the CPU and on a GPU where there is one.  Runs where torch is installed."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest
import torch
from _color_reference import KINDS, WIDTHS, expected, matrix, picture
from torch.utils.data import DataLoader, Dataset

import nersemble
from nersemble.color.plan import plan_correction
from nersemble.color.tensors import correct_uint8_tensor
from nersemble.cores import usable_cores
from nersemble.errors import CalibrationError

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", WIDTHS)
def test_levels_are_those_of_the_formulas(width, kind, device):
    for seed in range(3):
        image, ccm = picture(seed=seed), matrix(kind, width, seed)
        tensor = torch.from_numpy(image).to(device)
        right = expected(image, ccm)
        corrected = nersemble.correct_color(tensor, torch.from_numpy(ccm).to(device))
        # What devices other than the CPU compute with.
        by_operators = correct_uint8_tensor(tensor.reshape(-1, 3), plan_correction(ccm)).reshape(tensor.shape)
        for levels in (corrected, by_operators):
            assert (levels.dtype, levels.device) == (torch.uint8, tensor.device)
            off = np.abs(levels.cpu().numpy().astype(int) - right)
            assert off.max() <= 1
            assert np.count_nonzero(off) <= off.size // 10_000


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", WIDTHS)
def test_floats_are_those_of_the_formulas(width, kind, dtype, device):
    image, ccm = picture() / 255, matrix(kind, width)
    image[0, :3] = [[-0.1, 1.2, 0.5], [np.nan, 0, 1], [0.04, 0.0404, 0.041]]
    tensor = torch.from_numpy(image).to(device, dtype)
    corrected = nersemble.correct_color(tensor, ccm)
    assert (corrected.dtype, corrected.device) == (dtype, tensor.device)
    right = expected(image, ccm)
    # Where terms cancel, the steep end of the curve makes their rounding larger.
    tolerance = 13 * 30 * torch.finfo(dtype).eps * max(1, np.abs(ccm).sum())
    assert np.allclose(corrected.cpu().numpy(), right, rtol=tolerance, atol=tolerance, equal_nan=True)


def test_channels_can_come_first(device):
    last = torch.from_numpy(picture()[:120].reshape(2, 60, 53, 3)).to(device)
    first = last.permute(0, 3, 1, 2)
    ccm = matrix("realistic", 10)
    for one, other in [(first, last), (first.contiguous(), last), (first / 255, last / 255)]:
        corrected = nersemble.correct_color(one, ccm, channels_first=True)
        assert corrected.is_contiguous()
        torch.testing.assert_close(corrected.movedim(1, -1), nersemble.correct_color(other, ccm))


def test_views_empty_and_single_pixels_are_corrected(device):
    image, ccm = torch.from_numpy(picture()).to(device), torch.from_numpy(matrix("realistic", 10))
    whole = nersemble.correct_color(image, ccm)
    assert torch.equal(nersemble.correct_color(image[2:-3, ::2].flip(0), ccm), whole[2:-3, ::2].flip(0))
    assert torch.equal(nersemble.correct_color(image[3, 4], ccm), whole[3, 4])
    assert nersemble.correct_color(image[:0], ccm).shape == image[:0].shape
    assert nersemble.correct_color(image[:0] / 255, ccm).shape == image[:0].shape
    assert torch.equal(image.cpu(), torch.from_numpy(picture()))


@pytest.mark.parametrize("width", [3, 10, 35])
def test_gradients_are_those_of_differences(width, device):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((4, 5, 3), generator=generator, dtype=torch.float64).to(device).requires_grad_()
    assert torch.autograd.gradcheck(lambda one: nersemble.correct_color(one, matrix("realistic", width)), image)


def test_gradients_are_finite_at_black_white_and_beyond():
    values = torch.tensor([-0.2, 0.0, 0.04045, 1.0, 1.3], dtype=torch.float64)
    image = torch.cartesian_prod(values, values, values).requires_grad_()
    nersemble.correct_color(image, matrix("realistic", 35)).sum().backward()
    assert torch.isfinite(image.grad).all()
    assert image.grad.count_nonzero()


@pytest.mark.parametrize("dtype", [torch.int16, torch.bool, torch.float16, torch.bfloat16, torch.int64])
def test_other_types_get_a_sentence(dtype):
    with pytest.raises(CalibrationError, match="is uint8, or float32 or float64"):
        nersemble.correct_color(torch.zeros((4, 4, 3), dtype=dtype), np.eye(3))


def test_a_matrix_may_be_of_any_type_of_numbers(device):
    image = torch.from_numpy(picture()).to(device)
    ccm = torch.tensor([[1.5, -0.25, -0.25], [0.0, 1.0, 0.0], [0.0, -0.5, 1.5]])  # which bfloat16 holds
    right = nersemble.correct_color(image, ccm)
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        assert torch.equal(nersemble.correct_color(image, ccm.to(device, dtype)), right)


def test_a_matrix_that_float32_does_not_hold_gets_a_sentence(device):
    ccm = np.eye(3) * 1e300
    with pytest.raises(CalibrationError, match="too large for float32"):
        nersemble.correct_color(torch.zeros(2, 2, 3, device=device), ccm)
    assert nersemble.correct_color(torch.ones(2, 2, 3, dtype=torch.float64, device=device), ccm).abs().max() > 1e100


def test_other_shapes_get_a_sentence():
    with pytest.raises(CalibrationError, match="channels_first=True"):
        nersemble.correct_color(torch.zeros((3, 8, 8), dtype=torch.uint8), np.eye(3))
    with pytest.raises(CalibrationError, match="not of shape"):
        nersemble.correct_color(torch.zeros((8, 8, 3)), np.eye(3), channels_first=True)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_sparse_tensors_get_a_sentence(dtype):
    image = torch.zeros((4, 4, 3), dtype=dtype)
    for sparse in (image.to_sparse(), image.to_sparse(2)):
        with pytest.raises(CalibrationError, match=r"A picture to correct is a dense tensor.*to_dense\(\)"):
            nersemble.correct_color(sparse, np.eye(3))
    with pytest.raises(CalibrationError, match="A CCM is a dense tensor"):
        nersemble.correct_color(image, torch.eye(3).to_sparse())


class Corrected(Dataset):
    """Pictures corrected where they are read, each with the number of threads used for it."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        image = torch.from_numpy(picture((400, 400), seed=index))
        return nersemble.correct_color(image, matrix("realistic", 10)), usable_cores()


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_loader_workers_correct_in_one_thread_each(method):
    data = Corrected()
    here = [data[index][0] for index in range(len(data))]  # the parent has used every thread before
    for index, (image, threads) in enumerate(
        DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context=method, timeout=120)
    ):
        assert torch.equal(image, here[index])
        assert threads == 1
