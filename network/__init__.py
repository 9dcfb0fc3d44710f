"""Internal package: networks as data, their readers, devices and byte accounting. The public API is `bitbudget`."""
