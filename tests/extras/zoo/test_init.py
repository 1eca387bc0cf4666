"""The zoo without torch."""

from __future__ import annotations

import subprocess
import sys

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from tinyint.errors import DependencyError
try:
    import tinyint.extras.zoo
except DependencyError as error:
    print(error)
"""


def test_without_torch_the_message_names_the_extra() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=True)
    assert 'pip install "tinyint[zoo]"' in done.stdout
