"""Tools that build data sets: published files, TFDS records, image files, pixels."""
