"""One event for each photograph, and two groups that process it independently.

The group ``images`` makes thumbnails. The group ``audit`` notes the size and checksum
of every file. A broken photograph keeps ``images`` busy through its retries and ends in
its dead letters; ``audit`` has long gone on. In two terminals::

    streamq consume --app examples.thumbnails:app --group images
    streamq consume --app examples.thumbnails:app --group audit

and in a third::

    streamq produce --type photo_added file=photos/coffee.png

``python -m examples.thumbnails`` runs both groups in one process.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from pathlib import Path

from PIL import Image, ImageOps

from streamq import App, Backoff, Job, Retry

app = App()

# Every event reaches every group. This one has no use for the events it emits itself.
images = app.group(
    "images", ignore=["thumbnail_ready"],
    retries=3, backoff=Backoff(base=2, cap=2, jitter=False), timeout=30,
)  # fmt: skip
audit = app.group("audit")


@images.handler("photo_added")
async def make_thumbnail(job: Job, file: Path, width: int = 256) -> dict[str, object]:
    """Write a thumbnail beside the photograph, and announce it."""
    # Pillow would hold up the event loop, so it works in a thread.
    try:
        thumbnail, size = await asyncio.to_thread(shrink, file, width)
    except OSError as error:
        raise Retry(str(error)) from None  # it may be a photograph whose upload is not done
    job.emit("thumbnail_ready", {"file": str(thumbnail)})
    return {"thumbnail": str(thumbnail), "size": f"{size[0]}x{size[1]}"}


@audit.handler("*")
def note(job: Job, file: Path) -> None:
    """Append one line for an event to ``audit.log``: what, which file, how large, SHA-256."""
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    with open("audit.log", "a", encoding="utf-8") as log:
        log.write(f"{job.type} {file} {len(content)} {digest}\n")


def shrink(file: Path, width: int) -> tuple[Path, tuple[int, int]]:
    """Make a JPEG at most ``width`` pixels wide and high; return its path and its size."""
    thumbnail = file.parent / "thumbnails" / f"{file.stem}.jpg"
    thumbnail.parent.mkdir(exist_ok=True)
    with Image.open(file) as photograph:
        small = ImageOps.exif_transpose(photograph).convert("RGB")
    small.thumbnail((width, width))
    # A job may run twice, when a worker dies before it could settle it. So the file
    # is replaced as a whole: whoever looks sees either the old one or the new one.
    partial = thumbnail.with_suffix(f".{secrets.token_hex(4)}.part")
    small.save(partial, "JPEG", quality=85)
    partial.replace(thumbnail)
    return thumbnail, small.size


if __name__ == "__main__":
    app.run()
