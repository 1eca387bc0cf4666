from tests.proof.build import report

KEYS = {
    "output",
    "method",
    "target",
    "recipe",
    "coverage",
    "float_nodes",
    "verification",
    "latency_ms",
    "size_bytes",
    "seconds",
    "peak_rss_bytes",
    "warnings",
    "runtime",
    "host",
    "held_out",
}


def test_the_document_has_the_promised_keys():
    document = report().to_json()
    assert document.keys() >= KEYS
    assert document["coverage"].keys() >= {"macs_int8", "nodes_int8", "nodes_float"}
    assert document["float_nodes"][0] == {"name": "/a", "op": "Sin", "reason": "Sin has no int8 form"}
    assert document["verification"].keys() >= {
        "samples",
        "sqnr_db",
        "simulated_sqnr_db",
        "top1_agreement",
        "lsb_over_1",
    }
    assert document["latency_ms"] == {"float": 4.0, "int8": 2.0}
    assert document["size_bytes"] == {"float": 4_000_000, "int8": 1_000_000}
    assert list(document["seconds"]) == ["prepare", "calibrate", "quantize", "verify"]
    assert document["runtime"] == {
        "name": "onnxruntime",
        "version": "1.31.1",
        "precision": "float32",
        "threads": 1,
    }


def test_the_verdict_comes_first():
    document = report().to_json()
    assert next(iter(document)) == "verdict"
    assert document["verdict"] == {
        "accuracy": "doubtful",
        "speed": "faster",
        "size": "smaller",
        "reasons": ["90.0% of the rows of output 'y' have float's highest class"],
        "missing": [],
    }
