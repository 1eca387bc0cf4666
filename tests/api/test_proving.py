"""Samples that calibrate, and those that prove."""

import numpy as np
import pytest

import tinyint
from tinyint import api


def test_all_samples_used_for_calibration_is_said(model, samples):
    report = tinyint.quantize(model, samples, run=tinyint.Run(threads=1)).report
    assert report.verification is not None
    assert not report.verification.held_out
    assert report.to_json()["held_out"] is False
    assert any("held-out" in warning for warning in report.warnings)


@pytest.mark.parametrize(("given", "held_out"), [(12, True), (8, False)])
def test_data_of_unknown_length_are_split_too(model, samples, given, held_out):
    def generate():
        return iter(samples[:given, None])

    report = tinyint.quantize(model, tinyint.Samples(generate, limit=8), run=tinyint.Run(threads=1)).report
    assert report.verification is not None
    assert report.verification.held_out is held_out


def test_of_data_that_shuffle_what_calibration_has_seen_proves_nothing(model, samples):
    generator, read = np.random.default_rng(0), []

    class Shuffled:
        def __iter__(self):
            order = generator.permutation(len(samples))
            read.append(order.tolist())
            return iter(samples[order, None])

    report = tinyint.quantize(model, tinyint.Samples(Shuffled(), limit=8), run=tinyint.Run(threads=1)).report
    assert report.verification is not None
    unseen = set(read[-1][8:]) - set(read[0][:8])
    assert 0 < len(unseen) < 4
    assert (report.verification.samples, report.verification.held_out) == (len(unseen), True)
    assert any("another order on each pass" in note for note in report.notes)


def test_all_samples_calibrate_where_that_is_said(model, samples):
    said_by_recipe = tinyint.Recipe.load("default").with_settings(["samples=all"])
    for data, recipe in ((tinyint.Samples(samples, limit="all"), "default"), (samples, said_by_recipe)):
        run = tinyint.Run(threads=1, batch_size=4)
        report = tinyint.quantize(model, data, recipe=recipe, run=run).report
        assert report.calibration_samples == 12
        assert report.verification is not None
        assert not report.verification.held_out
    assert api.calibrate(model, tinyint.Samples(samples, limit="all")).samples == 12


def test_copies_of_the_calibration_samples_are_not_held_out(model, samples):
    report = tinyint.quantize(
        model, tinyint.Samples(np.concatenate([samples[:6]] * 2), limit=6), run=tinyint.Run(threads=1)
    ).report
    assert report.verification is not None
    assert not report.verification.held_out


def test_without_verify_nothing_is_run_and_the_plan_is_told(model, samples):
    report = tinyint.quantize(model, samples, run=tinyint.Run(verify=False)).report
    document = report.to_json()
    assert document["verification"] is None
    assert document["latency_ms"] is None
    assert document["coverage"]["measured"] is False
    assert document["coverage"]["macs_int8"] == 1.0
