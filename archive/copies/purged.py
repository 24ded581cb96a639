"""What purge leaves list goes from the copies too, once the head there covers them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from archive.copies.memory import Memory
from archive.copies.target import LOCKED, CopyError, Target

SALT_KEY = "salt.key"


def remove_purged(
    target: Target, log: Path, memory: Memory, before_each: Callable[[], None], save: Callable[[], None]
) -> None:
    """Remove what the waiting purges of `memory` list. What is locked still waits on. Raises CopyError, OSError."""
    left: list[dict[str, Any]] = []
    for purge in memory.purges:
        if purge["leaf"] >= memory.head_size or not _remove(target, log, purge, before_each):
            left.append(purge)
    memory.purges = left
    save()


def _remove(target: Target, log: Path, purge: dict[str, Any], before_each: Callable[[], None]) -> bool:
    """Whether nothing of it is left."""
    is_done = True
    for folder, last in purge["folders"].items():
        found = {name.rpartition("/")[2]: name for name in target.list(f"log/{folder}/")}
        going = [
            name
            for name in found
            if (name.endswith(".seg") and name <= last)
            or (name.endswith(".units") and name[:12].isdecimal() and int(name[:12]) < purge["leaf"])
        ]
        if not set(found) - set(going) - {SALT_KEY}:
            going += [name for name in found if name == SALT_KEY]
        elif SALT_KEY in found and (log / folder / SALT_KEY).exists():
            # What came late has a key of its own.
            target.put(f"log/{folder}/{SALT_KEY}", (log / folder / SALT_KEY).read_bytes())
        for name in going:
            before_each()
            is_done &= _take_away(target, found[name])
    for name in target.list(f"log/held/{purge['day']}/"):
        number = name.rpartition("/")[2].split(".")[0]
        if number.isdecimal() and int(number) < purge["leaf"]:
            before_each()
            is_done &= _take_away(target, name)
    return is_done


def _take_away(target: Target, name: str) -> bool:
    try:
        target.remove(name)
    except CopyError as error:
        if error.code != LOCKED:
            raise
        return False
    return True
