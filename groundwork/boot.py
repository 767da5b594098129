"""Which boot of the machine this is: what was only in memory ended with the one before.

A process that is killed leaves its mapped files as they were, for the kernel has them. A power cut leaves of
each page what happened to be on the disk: one may be of now, the next of half a minute ago, or never written.
"""

from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id(source: Path = _BOOT_ID) -> str:
    """The boot this is; empty where the system does not say."""
    try:
        return source.read_text().strip()
    except OSError:
        return ""


def is_past(boot: str, now: str) -> bool:
    """Whether `boot` ended before `now` began; what is not known is taken for the same boot."""
    return bool(boot) and bool(now) and boot != now
