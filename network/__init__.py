"""Internal package that reads and describes neural networks and counts their bytes; the public API is `bitbudget`."""
