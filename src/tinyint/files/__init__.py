"""Files that appear whole, together, or not at all.

What is written lies beside its place, as `.NAME.XXXXXXXX.tmp`, until it is complete and on the disk, and is renamed
then. A lock on it says that its writer lives; what a killed one left is removed by the next that writes NAME. Only what
takes long, `.NAME.partial`, is gone on with.
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
