"""Layers as data of the page."""

import json
from dataclasses import replace

from tests.proof.build import LAYERS
from tinyint.proof.layers import Layers
from tinyint.report.layer_data import layer_data, time_caption


def test_what_is_empty_is_left_out_and_the_rest_is_as_it_was():
    found = json.loads(layer_data(LAYERS))
    assert found["rows"][2] == {
        "name": "/a", "op": "Sin", "precision": "float", "output": "z", "reason": "Sin has no int8 form",
        "cumulative_db": 25.0, "float_ms": 0.5, "int8_ms": 0.9,
    }  # fmt: skip
    assert found["rows"][0]["int8_ms"] == 0.0  # zero is not empty
    assert found["tensors"]["y"]["live"] == [-3.0, None]


def test_nothing_in_a_name_ends_the_script():
    odd = replace(LAYERS.rows[0], name="</script>&\u2028\udcff<!--")
    text = layer_data(Layers(rows=(odd,)))
    assert not set("<>&\u2028\udcff") & set(text)
    assert json.loads(text)["rows"][0]["name"] == odd.name


def test_digits_are_few():
    row = replace(LAYERS.rows[0], local_db=45.123456789)
    assert '"local_db":45.12,' in layer_data(Layers(rows=(row,)))


def test_the_caption_adds_up():
    caption = time_caption(LAYERS)
    assert "float 3.75 ms, of which 0.25 ms belong to no layer; int8 3.15 ms, of which 0.75 ms" in caption
    assert time_caption(replace(LAYERS, other_ms=None)) == ""
    assert "busy" not in caption
    assert "The machine was busy" in time_caption(LAYERS, restless=True)
