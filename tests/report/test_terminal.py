from rich.console import Console

from tests.proof.build import report
from tinyint.proof.report import Report
from tinyint.report.terminal import render


def shown(made: Report) -> str:
    console = Console(width=140, record=True, quiet=False, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(render(made))
    return capture.get()


def test_figures_warnings_and_reasons_are_shown():
    text = shown(report())
    for part in (
        "4.00 ms",
        "2.00 ms",
        "2.00× as fast",
        "4.00 MB",
        "75.0%",
        "5 nodes in int8, 3 in float",
        "16 held-out samples",
        "2 × Sin has no int8 form: /a (Sin), /b (Sin)",
        "warning: look here",
        "written: out.onnx",
    ):
        assert part in text, part


def test_a_poor_result_leads_to_compare_and_a_better_recipe():
    text = shown(report())  # top-1 agreement of 90 %
    assert "next: tinyint compare in.onnx out.onnx" in text
    assert "--recipe accurate" in text
    assert "--max-drop" not in text
    assert "next: tinyint quantize in.onnx -o OUT --data DATA --max-drop POINTS" in shown(
        report(recipe="accurate")
    )


def test_slower_is_said_in_so_many_words():
    text = shown(report(int8_ms=9.0))
    assert "2.25× slower than float" in text.splitlines()[0]
    assert "tinyint doctor" in text
    assert "next: tinyint quantize in.onnx -o OUT --data DATA --race" in text
    assert "--race" not in shown(report(int8_ms=9.0, method="weight_only"))


def test_what_was_not_measured_is_not_shown_as_a_figure():
    text = shown(report(latency=None, verification=None))
    assert "latency" not in text
    assert " ms" not in text
    assert "Its speed was not measured" in text


def test_the_light_comes_first_with_its_reasons():
    text = " ".join(shown(report(int8_ms=9.0)).split())
    assert text.startswith("● red The int8 model is DOUBTFUL")
    assert (
        "red, since int8 is slower than float; the accuracy is doubtful; 75.0% of the multiply-adds" in text
    )
