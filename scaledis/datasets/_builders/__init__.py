"""What the data sets are built with: published files, TFDS records, image files, pixels."""
