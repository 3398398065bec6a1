"""Frame numbers tell of lost packets, and of nothing else."""

from __future__ import annotations

import pytest

from nersemble.video.slices import FrameNumbers, frame_number

IDR, REFERENCE, OTHER = 0x65, 0x61, 0x01


class Writer:
    """Bits of a NAL unit."""

    def __init__(self) -> None:
        self.bits = ""

    def write(self, value: int, count: int) -> Writer:
        self.bits += format(value, f"0{count}b")
        return self

    def golomb(self, *values: int) -> Writer:
        for value in values:
            self.write(value + 1, 2 * (value + 1).bit_length() - 1)
        return self

    def unit(self, head: int) -> bytes:
        bits = self.bits + "1"
        bits += "0" * (-len(bits) % 8)
        unit = bytes([head]) + int(bits, 2).to_bytes(len(bits) // 8, "big")
        for last in range(4):
            unit = unit.replace(bytes([0, 0, last]), bytes([0, 0, 3, last]))
        return unit


def header(*, gaps: int = 0, fields: bool = False) -> bytes:
    """An avcC record: frame numbers of 4 bits, display order in 6, weighted prediction."""
    sequence = Writer().write(77, 8).write(0, 8).write(30, 8).golomb(0, 0, 0, 2, 4)
    sequence.write(gaps, 1).golomb(5, 3).write(0 if fields else 1, 1)
    picture = Writer().golomb(0, 0).write(1, 1).write(0, 1).golomb(0, 2, 0).write(1, 1).write(0, 2)
    picture.golomb(0, 0, 0).write(0, 3)
    sets = [sequence.unit(0x67), picture.unit(0x68)]
    first, second = (len(unit).to_bytes(2, "big") + unit for unit in sets)
    return bytes([1, 77, 0, 30, 0xFF, 0xE1]) + first + bytes([1]) + second


def picture(head: int, number: int, *, reset: bool = False, field: int | None = None, block: int = 0) -> bytes:
    """A unit of a P picture, or an IDR one, as a packet holds it."""
    slice_ = Writer().golomb(block, 7 if head == IDR else 5, 0).write(number, 4)
    if field is not None:
        slice_.write(1, 1).write(field, 1)
    if head == IDR:
        slice_.golomb(0)
    slice_.write(0, 6)
    if head == IDR:
        slice_.write(0, 2)
    else:
        slice_.write(1, 1).golomb(1)  # two references
        slice_.write(1, 1).golomb(0, 0, 3)  # in another order
        slice_.golomb(5, 5).write(0b1, 1).golomb(2, 2).write(0b000, 3)  # one of them with a weight
        if head != OTHER:
            slice_.write(int(reset), 1)
            if reset:
                slice_.golomb(1, 0, 3, 0, 0, 5, 0)
    slice_.write(0x5A5A, 16)
    unit = slice_.unit(head)
    return len(unit).to_bytes(4, "big") + unit


def lost_before(packets: list[bytes], extradata: bytes) -> list[int]:
    numbers = FrameNumbers(extradata)
    return [place for place, packet in enumerate(packets) if numbers.misses_before(packet)]


WHOLE = {
    "referred to": [picture(REFERENCE, n % 16) for n in range(40)],
    "not referred to": [
        picture(kind, n % 16) for n in range(1, 40) for kind in ((OTHER, OTHER, REFERENCE) if n % 3 else (REFERENCE,))
    ],
    "new beginning": [picture(IDR, 0), picture(REFERENCE, 1), picture(REFERENCE, 2), picture(IDR, 0)],
    "reset": [picture(REFERENCE, 7, reset=True), picture(OTHER, 1), picture(REFERENCE, 1), picture(REFERENCE, 2)],
    "reset to 0": [picture(REFERENCE, 7, reset=True), picture(REFERENCE, 0), picture(REFERENCE, 1)],
    "slices": [b"".join(picture(REFERENCE, n, block=block) for block in (0, 9, 40)) for n in range(9)],
    "no slices": [picture(REFERENCE, 3), b"\0\0\0\x02\x09\xf0", picture(REFERENCE, 4)],
    "unreadable": [picture(REFERENCE, 3), picture(REFERENCE, 4)[:-1], picture(REFERENCE, 5)],
    "starting anywhere": [picture(REFERENCE, 9), picture(OTHER, 10), picture(REFERENCE, 10)],
}


@pytest.mark.parametrize("kind", WHOLE)
def test_nothing_is_missing_where_numbers_go_on(kind):
    assert lost_before(WHOLE[kind], header()) == []


@pytest.mark.parametrize("together", [True, False])
def test_nothing_is_missing_between_fields(together):
    pairs = [[picture(REFERENCE, n % 16, field=field) for field in (0, 1)] for n in range(20)]
    packets = [b"".join(pair) for pair in pairs] if together else [field for pair in pairs for field in pair]
    assert lost_before(packets, header(fields=True)) == []
    reset = [picture(REFERENCE, 7, field=0), picture(REFERENCE, 7, field=1, reset=True), picture(REFERENCE, 1, field=0)]
    assert lost_before(reset, header(fields=True)) == []


def test_a_lost_picture_that_others_are_predicted_from_is_missed():
    for lost in range(1, 39):
        packets = [picture(REFERENCE, n % 16) for n in range(40) if n != lost]
        assert lost_before(packets, header()) == [lost]
    followed = [picture(REFERENCE, 3), picture(OTHER, 5), picture(OTHER, 5), picture(REFERENCE, 5)]
    assert lost_before(followed, header()) == [1]
    assert lost_before([picture(REFERENCE, 7), picture(REFERENCE, 1)], header()) == [1]
    pair = [picture(REFERENCE, 7, field=0), picture(REFERENCE, 7, field=1), picture(REFERENCE, 9, field=0)]
    assert lost_before(pair, header(fields=True)) == [2]


def test_where_gaps_are_allowed_or_the_header_is_unknown_nothing_is_told():
    gap = [picture(REFERENCE, 3), picture(REFERENCE, 9)]
    assert lost_before(gap, header()) == [1]
    assert lost_before(gap, header(gaps=1)) == []
    assert lost_before(gap, b"") == []


def test_parameter_sets_among_the_packets_count():
    record = header()
    length = int.from_bytes(record[6:8], "big")
    sets = b"".join(len(unit).to_bytes(4, "big") + unit for unit in (record[8 : 8 + length], record[8 + length + 3 :]))
    empty = bytes([1, 77, 0, 30, 0xFF, 0xE0, 0])
    packets = [sets + picture(IDR, 0), picture(REFERENCE, 1), picture(REFERENCE, 3)]
    assert lost_before(packets, empty) == [2]
    assert lost_before(packets[1:], empty) == []
    assert frame_number(record, packets[2][4:]) == 3
    assert frame_number(empty, packets[2][4:]) is None
