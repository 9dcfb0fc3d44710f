"""Internal package that chooses the bits of a network's tensors under a budget; the public API is `bitbudget`."""
