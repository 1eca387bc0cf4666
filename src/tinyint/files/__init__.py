"""Files that appear whole, together, or not at all.

A file is written beside its destination as `.NAME.XXXXXXXX.tmp`, and renamed once it is complete and on the disk. A
lock on it means that its writer is alive; files of a killed writer are removed by the next one of NAME. Only a
file that takes long, `.NAME.partial`, is resumed.
"""

from tinyint.files.leftover import OWN, leftovers, locked, sweep, temporary
from tinyint.files.partial import partial_file
from tinyint.files.place import followed, refusals, require_writable
from tinyint.files.together import written_together
from tinyint.files.whole import atomic_write

__all__ = [
    "OWN",
    "atomic_write",
    "followed",
    "leftovers",
    "locked",
    "partial_file",
    "refusals",
    "require_writable",
    "sweep",
    "temporary",
    "written_together",
]
