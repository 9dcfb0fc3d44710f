"""Internal package for retraining networks with few bits, measuring sensitivity, and reading datasets. The public API
is the package `bitbudget`.
"""
