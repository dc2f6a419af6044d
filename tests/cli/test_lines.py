"""Reading lines of files and pipes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamq.cli.produce import lines
from streamq.cli.produce.lines import Line, LineReader

pytestmark = pytest.mark.anyio


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            pass


async def read(path: Path, longest: int = 100) -> list[Line]:
    fd = os.open(path, os.O_RDONLY)
    try:
        return [line async for batch in LineReader(fd, longest).batches() for line in batch]
    finally:
        os.close(fd)


@pytest.mark.parametrize("block", [1, 2, 3, 64 * 1024])
async def test_lines_are_numbered_and_blank_ones_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(lines, "BLOCK", block)
    file = tmp_path / "lines"
    file.write_bytes(b"one\n\n  \r\nfour\r\nlast")

    assert await read(file) == [Line(1, b"one"), Line(4, b"four\r"), Line(5, b"last")]


@pytest.mark.parametrize("block", [1, 7, 64 * 1024])
@pytest.mark.parametrize("end", [b"", b"\n", b"\nnext"])
async def test_a_line_that_is_too_long_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, end: bytes
) -> None:
    monkeypatch.setattr(lines, "BLOCK", block)
    file = tmp_path / "lines"
    file.write_bytes(b"one\n" + b"x" * 50 + end)

    expected = [Line(1, b"one"), Line(2, None)]
    assert await read(file, longest=20) == expected + [Line(3, b"next")] * end.endswith(b"next")


async def test_what_comes_through_a_pipe_is_not_waited_for_until_it_is_much(
    pipe: tuple[int, int],
) -> None:
    reading, writing = pipe
    batches = LineReader(reading, 100).batches()
    for number in range(1, 4):
        os.write(writing, b"line\n")
        assert await anext(batches) == [Line(number, b"line")]
    os.close(writing)
    assert [batch async for batch in batches] == []


async def test_a_reader_that_is_told_to_stop_waits_no_longer(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    reader = LineReader(reading, 100)
    os.write(writing, b"one\nrest without an end")

    found = []
    async for batch in reader.batches():
        found += batch
        reader.stop()
    assert found == [Line(1, b"one")]


async def test_the_null_device_is_empty() -> None:
    assert await read(Path(os.devnull)) == []
