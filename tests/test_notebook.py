"""The notebook runs from its first cell to its last, on tiny sizes."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "notebooks/quickstart.ipynb"
SIZES = 'DATASET, STEPS, IMAGES = "rendered", 2000, 3000'


def test_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = nbformat.read(NOTEBOOK, 4)
    cells = [cell for cell in notebook.cells if cell.source == SIZES]
    assert len(cells) == 1, "the cell with the sizes has changed"
    cells[0].source = 'DATASET, STEPS, IMAGES = "rendered_dsprites", 4, 300'
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    text = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "codes (300, 10) levels [0 0 0 0 1 1 2 2 3 3]" in text
    assert "PCA         DCI-D 0." in text and "scale_vlae  DCI-D 0." in text
