"""What times the library, and what compares its look-alikes with real images."""
