"""Internal package: the integer-only network, its files and its interpreter. The public API is `bitbudget`."""
