"""What the data sets are built with: published files, TFDS records, image files, pixels. A name with `_` is no data set."""
