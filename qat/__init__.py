"""Internal package: retraining with few bits, sensitivity and datasets. The public API is `bitbudget`."""
