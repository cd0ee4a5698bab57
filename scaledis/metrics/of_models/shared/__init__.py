"""What the metrics of models share."""
