"""Stores of objects (fsspec): a bucket or a folder, instead of the data directory, with a cache on the local disk."""
