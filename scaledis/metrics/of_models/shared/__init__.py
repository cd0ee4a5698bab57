"""Code shared by the metrics of models."""
