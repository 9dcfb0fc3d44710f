"""Internal package: the HTTP service, its jobs and the command. The public API is `bitbudget`."""
