import json
import math

import numpy as np

from tests.proof.build import report
from tinyint.files.jsonable import to_json


def test_what_json_cannot_say_is_null():
    text = to_json({"a": math.inf, "b": [math.nan, 1.5], "c": np.float32(2), "d": (np.int64(3), None, True)})
    assert json.loads(text) == {"a": None, "b": [None, 1.5], "c": 2.0, "d": [3, None, True]}
    assert report().to_json()["verification"]["sqnr_db"] is None
