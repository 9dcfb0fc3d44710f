"""Write the table of microcontrollers in `docs/devices.md`: `python docs/device_table.py`.

The table stands between two comments, and is replaced as a whole.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from network.devices.catalogue import catalogue
from network.devices.device import Device

PAGE: Final = Path(__file__).parent / "devices.md"
_BLOCK: Final = re.compile(r"(?<=^<!-- catalogue -->\n).*?(?=^<!-- end of catalogue -->$)", re.MULTILINE | re.DOTALL)
_HEAD: Final = (
    "| name | core | MHz | flash: usable | on the chip | RAM: usable | on the chip | note |",
    "|---|---|--:|--:|--:|--:|--:|---|",
)


def with_table(text: str) -> str:
    """Return the text of a page with its table replaced by the catalogue's microcontrollers, in the same order.

    Args:
        text: The page, in Markdown.
    """
    rows = [*_HEAD, *(_row(device) for device in catalogue().values())]
    return _BLOCK.sub(lambda _: "".join(f"{row}\n" for row in rows), text)


def _row(device: Device) -> str:
    cells = (
        f"`{device.name}`",
        device.core,
        "" if device.clock_hz is None else f"{device.clock_hz // 10**6}",
        _size(device.flash_bytes),
        _size(device.chip_flash_bytes) + (", external" if device.flash_is_external else ""),
        _size(device.ram_bytes),
        _size(device.chip_ram_bytes),
        device.note,
    )
    return re.sub(r" +", " ", f"| {' | '.join(cells)} |")


def _size(size_bytes: int) -> str:
    kib, rest = divmod(size_bytes, 1024)
    return f"{size_bytes:,} bytes" if rest else f"{kib:,} KiB"


def main() -> None:
    """Write the table of microcontrollers into its page."""
    before = PAGE.read_text(encoding="utf-8")
    after = with_table(before)
    if after != before:
        PAGE.write_text(after, encoding="utf-8")
        print(f"{PAGE.name}: table of the catalogue written")


if __name__ == "__main__":
    main()
