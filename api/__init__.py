"""Internal package: the HTTP service, its jobs and the command line. The public API is the package `bitbudget`."""
