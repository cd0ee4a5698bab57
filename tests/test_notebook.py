"""The notebooks run from their first cell to their last, on tiny sizes."""

import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def run(name, folder, sizes, tiny):
    """Runs a notebook with other sizes and returns the text that it prints."""
    notebook = nbformat.read(NOTEBOOKS / name, 4)
    cells = [cell for cell in notebook.cells if cell.source == sizes]
    assert len(cells) == 1, "the cell with the sizes has changed"
    cells[0].source = tiny
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


def test_the_quickstart_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    sizes = 'DATASET, STEPS, IMAGES = "rendered", 2000, 3000'
    text = run("quickstart.ipynb", tmp_path, sizes, 'DATASET, STEPS, IMAGES = "rendered_dsprites", 4, 300')
    assert "codes (300, 10) levels [0 0 0 0 1 1 2 2 3 3]" in text
    assert "PCA         DCI-D 0." in text and "scale_vlae  DCI-D 0." in text


def test_ones_own_images_run(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    sizes = "RECORDINGS, FRAMES, STEPS = 40, 60, 3000"
    text = run("own_data.ipynb", tmp_path, sizes, "RECORDINGS, FRAMES, STEPS = 8, 14, 6")
    [line] = [line for line in text.splitlines() if line.startswith("kinds ")]
    assert "'angle', 'number'] labeled [" in line and "24, 24]" in line  # of 28 frames; a constant factor has None
    assert all(word in text for word in ("floor, pca", "ceiling, supervised"))
    assert re.search(r"^accuracy [01]\.", text, re.MULTILINE)
