"""What the runtimes do with small Q/DQ graphs. The targets rely on each of these; a new release may change one."""

import pytest

pytest.register_assert_rewrite("tests.runtimes.facts.probes")
