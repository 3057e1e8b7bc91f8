"""TensorBoard logs of a run, written without TensorFlow.

An event file is a sequence of records, each a Protocol Buffers message `Event` between its length and two checksums
(CRC-32C, turned and shifted by a constant), as TensorFlow's `record_writer.h` and `event.proto` describe.
"""

import shutil
import struct
import time
from pathlib import Path


class TensorBoardLog:
    """TensorBoard event files of a run, with each finished epoch once, also after interruptions.

    Args:
        folder: Where the event files go. What is there already is replaced.
        rows: The metrics of the epochs finished so far.

    Example:

    ```python
    log = TensorBoardLog(Path("run/tensorboard"), rows=[])
    log.write({"epoch": 1, "loss": 2.3, "val_loss": 2.4})
    ```
    """

    def __init__(self, folder: Path, rows: list[dict[str, float]]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._files = {}
        for name in ("train", "validation"):
            self._files[name] = folder / name / f"events.out.tfevents.{int(time.time())}.keras_lite"
            self._files[name].parent.mkdir(parents=True)
            # Field 3: the version of the file's format.
            self._append(name, _event(0, _field(3, b"brain.Event:2")))
        for row in rows:
            self.write(row)

    def write(self, row: dict[str, float]) -> None:
        """Add the metrics of an epoch."""
        for name in self._files:
            values = {
                f"epoch_{key.removeprefix('val_')}": value
                for key, value in row.items()
                if key != "epoch" and key.startswith("val_") == (name == "validation")
            }
            summary = b"".join(
                _field(1, _field(1, key.encode()) + b"\x15" + struct.pack("<f", value)) for key, value in values.items()
            )
            self._append(name, _event(int(row["epoch"]), _field(5, summary)))

    def _append(self, name: str, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        record = length + _masked_checksum(length) + event + _masked_checksum(event)
        with self._files[name].open("ab") as file:
            file.write(record)


def _event(step: int, content: bytes) -> bytes:
    """Encode an event: field 1 is the time as a double, field 2 the step."""
    return b"\x09" + struct.pack("<d", time.time()) + b"\x10" + _variable_length(step) + content


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _variable_length(len(content)) + content


def _variable_length(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def _checksum_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _checksum_table()


def _masked_checksum(content: bytes) -> bytes:
    checksum = 0xFFFFFFFF
    for byte in content:
        checksum = checksum >> 8 ^ _TABLE[(checksum ^ byte) & 255]
    checksum ^= 0xFFFFFFFF
    masked = (checksum >> 15 | checksum << 17) + 0xA282EAD8
    return struct.pack("<I", masked & 0xFFFFFFFF)
