import re

import pytest

from tinyint.errors import TinyintError, TinyintWarning
from tinyint.runtimes.run import Run


def test_an_option_that_a_verb_has_no_use_for_is_refused():
    run = Run(threads=2, batch_size=8, notice=print)
    run.require_only("evaluate", "threads", "batch_size")
    told = "compare has no use for Run(batch_size=8); leave it out (it takes threads)"
    with pytest.raises(TinyintError, match=re.escape(told)):
        run.require_only("compare", "threads")
    with pytest.raises(TinyintError, match=re.escape("Run(provider='cuda')")):
        Run(provider="cuda").require_only("predict")


def test_notices_are_warnings_unless_somebody_listens():
    with pytest.warns(TinyintWarning, match="look here"):
        Run().notice("look here")
    heard: list[str] = []
    Run(notice=heard.append).notice("look here")
    assert heard == ["look here"]
