"""The loop over pixels for CPUs with AVX-512 and its permutations of bytes (VBMI).  Importing this imports numba.

A table that fits into registers is looked up for 16 to 64 values at once, by a permutation.  Decoding is a table of 256
entries of 24 bits, in three planes of bytes.  Encoding is a table of powers by the exponent, times a parabola of the
mantissa, whose coefficients are tables by its four highest bits.  No compiler finds that by itself, so the instructions
are written out for LLVM.  For other CPUs none of them are compiled, and the polynomials of ``curves`` serve.

64 pixels go through at a time.  Their bytes are parted by channel, each channel becomes four vectors of 16 floats, and
the levels are packed into bytes and joined again.  Unpacking and packing are the cheap ones, which keep to parts of a
vector and mix up the pixels; joining, which takes bytes from anywhere, puts these back in order for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numpy.typing import NDArray

from .curves import HIGHEST as SCALED_HIGHEST
from .curves import LOWEST as SCALED_LOWEST
from .curves import SCALE, UNITS, bits
from .polynomial import EXPANSIONS, MOST_TERMS, Nest, nest
from .srgb import KNEE, tables

#: Pixels at once.
BLOCK = 64

#: Decoded channels count from 0 to this: whole numbers, which float32 holds exactly.
WHOLE = (1 << 24) - 1
#: How far off a decoded channel is, of 1.
DECODING_ERROR = 0.5 / WHOLE
#: What rounds a term: in each of its nested sums at most three products are added, each with one rounding.
ROUNDINGS_A_DEGREE = 3
#: Levels that share an entry in the table of how far off a level is at most.
LEVELS_A_STEP = 8
#: How many units encoding is off at most, at level 0 and how much a level adds; all float32 were tried, and are less
#: than 0.9 of this off.  It includes what is lost by cutting off to whole units.
ENCODING_ERROR = (2.0, 1 / 24)

_LOWEST, _HIGHEST = SCALED_LOWEST / SCALE, SCALED_HIGHEST / SCALE
_F4, _I1, _I8, _I16, _I32, _I64 = ir.FloatType(), *(ir.IntType(width) for width in (1, 8, 16, 32, 64))
FLOATS, INTS = ir.VectorType(_F4, 16), ir.VectorType(_I32, 16)
_BYTES, _WORDS = ir.VectorType(_I8, 64), ir.VectorType(_I16, 32)


@cache
def is_possible() -> bool:
    """Whether numba compiles for a CPU that has the instructions."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return {"+avx512f", "+avx512bw", "+avx512vbmi"} <= set(features.split(","))


def scaled_rows(ccm: NDArray[np.float64]) -> NDArray[np.float32]:
    """``(3, 35)``: a matrix for channels that count to WHOLE, with the columns of the widest."""
    terms, widest = EXPANSIONS[ccm.shape[1]], EXPANSIONS[MOST_TERMS]
    rows = np.zeros((3, MOST_TERMS), np.float32)
    for term, column in zip(terms, ccm.T, strict=True):
        rows[:, widest.index(term)] = column / float(WHOLE) ** len(term.replace("1", ""))
    return rows


def unsure_steps(linear_error: float) -> NDArray[np.uint16]:
    """``(32,)``: how many units off the levels of each step are at most, if linear light is ``linear_error`` off.

    The curve is steepest at the dark end of a step.  One level more is for values that came from the step before.
    """
    levels = np.arange(0, 256, LEVELS_A_STEP)
    linear = tables().decoded[np.maximum(levels - 1, 0)]
    steepness = 255 * np.where(linear > KNEE, 1.055 / 2.4 * np.maximum(linear, KNEE) ** (1 / 2.4 - 1), 12.92)
    at_zero, slant = ENCODING_ERROR
    return np.ceil(linear_error * steepness * UNITS + at_zero + slant * levels).astype(np.uint16)


# --- instructions -----------------------------------------------------------------------------------------------------


def _vector(kind: ir.VectorType, values: Any) -> Any:
    return ir.Constant(kind, [ir.Constant(kind.element, value) for value in values])


def _all(kind: ir.VectorType, value: float) -> Any:
    return _vector(kind, [value] * kind.count)


class Vectors:
    """Vector instructions, written where ``builder`` stands."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def call(self, name: str, kind: ir.VectorType, *arguments: Any) -> Any:
        function_type = ir.FunctionType(kind, [argument.type for argument in arguments])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, function_type, name), arguments)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """With one rounding."""
        return self.call("llvm.fma.v16f32", FLOATS, a, b, c)

    def look_up(self, table: Any, index: Any) -> Any:
        """Of 16 floats, by the four lowest bits of integers."""
        return self.call("llvm.x86.avx512.permvar.sf.512", FLOATS, _vector(FLOATS, table.tolist()), index)

    def look_up_words(self, table: Any, index: Any) -> Any:
        """Of 32 words, by the five lowest bits of words."""
        return self.call("llvm.x86.avx512.permvar.hi.512", _WORDS, table, index)

    def pick(self, a: Any, b: Any, index: Any) -> Any:
        """Of the 128 bytes of two vectors, by the seven lowest bits of bytes."""
        return self.call("llvm.x86.avx512.vpermi2var.qi.512", _BYTES, a, index, b)

    def pick_of_three(self, three: Sequence[Any], index: Sequence[int]) -> Any:
        """Of the 192 bytes of three vectors."""
        of_two = self.pick(three[0], three[1], _vector(_BYTES, [i & 127 for i in index]))
        third = _vector(_BYTES, [i & 63 for i in index])
        of_third = self.call("llvm.x86.avx512.permvar.qi.512", _BYTES, three[2], third)
        return self.builder.select(_vector(ir.VectorType(_I1, 64), [i >= 128 for i in index]), of_third, of_two)

    def by_turns(self, a: Any, b: Any, kind: ir.VectorType, upper: bool) -> Any:
        """Elements of two vectors by turns, of the lower or the upper half of each 16 bytes."""
        lane = kind.count // 4
        places = [lane * part + lane // 2 * upper + i for part in range(4) for i in range(lane // 2)]
        both = _vector(ir.VectorType(_I32, kind.count), [one for i in places for one in (i, i + kind.count)])
        return self.builder.shuffle_vector(self.builder.bitcast(a, kind), self.builder.bitcast(b, kind), both)

    def broadcast(self, scalar: Any) -> Any:
        undefined = ir.Constant(FLOATS, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(first, undefined, _all(INTS, 0))


# --- steps ------------------------------------------------------------------------------------------------------------


def _decode(v: Vectors, levels: Any) -> list[Any]:
    """The three bytes of decoded levels, the lowest first."""
    table = np.rint(tables().decoded * WHOLE).astype(np.int64)
    is_bright = v.builder.icmp_signed("<", levels, _all(_BYTES, 0))
    planes = []
    for shift in (0, 8, 16):
        quarters = [_vector(_BYTES, quarter) for quarter in (table >> shift & 255).reshape(4, 64).tolist()]
        dark, bright = (v.pick(quarters[i], quarters[i + 1], levels) for i in (0, 2))
        planes.append(v.builder.select(is_bright, bright, dark))
    return planes


def _unpack(v: Vectors, planes: Sequence[Any], upper: bool) -> list[Any]:
    """Half of the decoded levels, as two vectors of floats of 0 to WHOLE."""
    low, middle, high = planes
    words = v.by_turns(low, middle, _BYTES, upper), v.by_turns(high, _all(_BYTES, 0), _BYTES, upper)
    wholes = (v.by_turns(*words, _WORDS, half) for half in (False, True))
    return [v.builder.sitofp(v.builder.bitcast(whole, INTS), FLOATS) for whole in wholes]


def _evaluate(v: Vectors, polynomial: Nest, row: Callable[[int], Any], channels: Sequence[Any]) -> Any:
    total = None if polynomial.constant is None else row(polynomial.constant)
    for channel, rest in polynomial.factors:
        factor = _evaluate(v, rest, row, channels)
        one = factor, channels[channel]
        total = v.builder.fmul(*one) if total is None else v.multiply_add(*one, total)
    return total


def _up_to(polynomial: Nest, degree: int) -> Nest:
    """A polynomial without what is above a degree."""
    factors = polynomial.factors if degree else ()
    return Nest(polynomial.constant, tuple((channel, _up_to(rest, degree - 1)) for channel, rest in factors))


def encode(v: Vectors, linear: Any) -> Any:
    """Levels of linear values as integers, in units; ENCODING_ERROR off at most."""
    b = v.builder
    value = v.call("llvm.smax.v16i32", INTS, b.bitcast(linear, INTS), _all(INTS, bits(_LOWEST)))
    value = v.call("llvm.smin.v16i32", INTS, value, _all(INTS, bits(_HIGHEST)))
    # Of the exponent the four lowest bits tell the powers apart that there are, 2**-13 to 1.
    exponents = np.arange(-15, 1)
    powers = np.empty(16)
    powers[exponents + 127 & 15] = 1.055 * 255 * UNITS * 2.0 ** (exponents / 2.4)
    power = v.look_up(powers, b.lshr(value, _all(INTS, 23)))
    mantissa = b.or_(b.and_(value, _all(INTS, (1 << 23) - 1)), _all(INTS, bits(1)))
    m, segment = b.bitcast(mantissa, FLOATS), b.lshr(value, _all(INTS, 19))
    second, first, constant = (v.look_up(table, segment) for table in _parabolas())
    root = v.multiply_add(v.multiply_add(second, m, first), m, constant)
    curve = v.multiply_add(power, root, _all(FLOATS, -0.055 * 255 * UNITS))
    dark = b.fmul(b.bitcast(value, FLOATS), _all(FLOATS, float(np.float32(12.92 * 255 * UNITS))))
    is_dark = b.icmp_signed("<=", value, _all(INTS, bits(KNEE)))
    return b.fptosi(b.select(is_dark, dark, curve), INTS)


def _parabolas() -> NDArray[np.float64]:
    """``(3, 16)``: ``m**(1 / 2.4)`` for m from 1 to 2, by sixteenths; each meets it at the Chebyshev nodes."""
    nodes = np.cos(np.pi * (np.arange(3) + 0.5) / 3)
    segments = [1 + (segment + 0.5 + nodes / 2) / 16 for segment in range(16)]
    return np.array([np.polyfit(m, m ** (1 / 2.4), 2) for m in segments]).T


def _pack(v: Vectors, first: Any, second: Any, steps: Any) -> tuple[Any, Any]:
    """Levels of two vectors by turns, as words, and the mask of those that are too close to a threshold."""
    b = v.builder
    is_second = _vector(ir.VectorType(_I1, 32), [0, 1] * 16)
    down, up = b.lshr(first, _all(INTS, 16)), b.shl(second, _all(INTS, 16))
    level = b.select(is_second, b.bitcast(second, _WORDS), b.bitcast(down, _WORDS))
    place = b.select(is_second, b.bitcast(up, _WORDS), b.bitcast(first, _WORDS))
    near = v.look_up_words(steps, b.lshr(level, _all(_WORDS, LEVELS_A_STEP.bit_length() - 1)))
    return level, b.icmp_unsigned("<=", b.add(place, near), b.add(near, near))


#: By bits of a block's mask, which pixels they are of: ``_unpack`` makes vectors of every fourth four pixels, ``_pack``
#: takes elements of two of them by turns, and its two masks follow each other.
PIXELS = np.array([16 * (i // 8) + 8 * half + 4 * (i % 2) + i // 2 % 4 for half in (0, 1) for i in range(32)])
#: By pixels, where the bytes of a block have their levels: the second half's are in the upper bytes of the words.
_PLACES = [2 * (bit % 32) + bit // 32 for bit in np.argsort(PIXELS).tolist()]


def _block(v: Vectors, polynomial: Nest, pixels: Sequence[Any], rows: Any, steps: Any) -> Any:
    """Correct 64 pixels, from the first of two addresses to the second; the mask of those that are to be redone."""
    b = v.builder
    parts = [[b.gep(address, [ir.Constant(_I64, 64 * i)]) for i in range(3)] for address in pixels]
    sources, targets = ([b.bitcast(part, _BYTES.as_pointer()) for part in three] for three in parts)
    three = [b.load(part, align=1) for part in sources]
    planes = [_decode(v, v.pick_of_three(three, range(channel, 192, 3))) for channel in range(3)]
    levels, masks = [], []
    for upper in (False, True):
        channels = [_unpack(v, bytes_of_one, upper) for bytes_of_one in planes]
        for row in range(3):

            def coefficient(column: int, row: int = row) -> Any:
                return v.broadcast(b.load(b.gep(rows, [ir.Constant(_I64, MOST_TERMS * row + column)])))

            first, second = (
                encode(v, _evaluate(v, polynomial, coefficient, rgb)) for rgb in zip(*channels, strict=True)
            )
            level, mask = _pack(v, first, second, steps)
            levels.append(level)
            masks.append(mask)
    packed = [b.bitcast(b.or_(levels[i], b.shl(levels[i + 3], _all(_WORDS, 8))), _BYTES) for i in range(3)]
    for i, part in enumerate(targets):
        pixels_and_channels = (divmod(place, 3) for place in range(64 * i, 64 * i + 64))
        index = [_PLACES[pixel] + 64 * channel for pixel, channel in pixels_and_channels]
        b.store(v.pick_of_three(packed, index), part, align=1)
    first, second = (b.or_(b.or_(masks[i], masks[i + 1]), masks[i + 2]) for i in (0, 3))
    return b.bitcast(b.shuffle_vector(first, second, _vector(ir.VectorType(_I32, 64), range(64))), _I64)


# --- for the compiled loop --------------------------------------------------------------------------------------------


def data(context: Any, builder: Any, signature: Any, arguments: Any, place: int, kind: Any) -> Any:
    """The address of an argument's array."""
    array = context.make_array(signature.args[place])(context, builder, arguments[place])
    return builder.bitcast(array.data, kind.as_pointer())


@intrinsic
def correct_blocks(_context, source, target, degree, rows, steps, masks):  # type: ignore[no-untyped-def]
    """Correct pixels, 64 for each of ``masks``, which take a bit, by PIXELS, for those that are to be redone.

    Args:
        source: ``(N, 3)`` uint8.
        target: Takes the levels.
        degree: Of the polynomial.
        rows: As of ``scaled_rows``.
        steps: As of ``unsure_steps``.
        masks: uint64, for N / 64 blocks.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        if is_possible():
            kinds = {0: _I8, 1: _I8, 3: _F4, 4: _WORDS, 5: _I64}
            at = {place: data(context, builder, signature, arguments, place, kind) for place, kind in kinds.items()}
            blocks = context.make_array(signature.args[5])(context, builder, arguments[5]).nitems
            widest, near = nest(EXPANSIONS[MOST_TERMS]), builder.load(at[4], align=2)
            for one in range(1, 5):
                is_one = builder.icmp_signed("==", arguments[2], ir.Constant(_I64, one))
                with builder.if_then(is_one), cgutils.for_range(builder, blocks, intp=_I64) as loop:
                    offset = builder.mul(loop.index, ir.Constant(_I64, 3 * BLOCK))
                    pixels = [builder.gep(at[i], [offset]) for i in (0, 1)]
                    mask = _block(Vectors(builder), _up_to(widest, one), pixels, at[3], near)
                    builder.store(mask, builder.gep(at[5], [loop.index]))
        return context.get_dummy_value()

    return types.void(source, target, degree, rows, steps, masks), generate


@intrinsic
def lowest_bit(_context, word):  # type: ignore[no-untyped-def]
    """The place of the lowest bit that is set in a uint64 other than 0."""

    def generate(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(_I1, 1))

    return types.int64(word), generate
