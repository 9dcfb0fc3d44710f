"""Internal package: the methods that choose bits under a budget. The public API is `bitbudget`."""
