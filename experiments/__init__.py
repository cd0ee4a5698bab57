"""Scripts behind the tables and figures of both papers: `python -m experiments.table1 --tier=small`."""
