"""Internal package that executes, saves and loads integer-only networks. The public API is the package `bitbudget`."""
