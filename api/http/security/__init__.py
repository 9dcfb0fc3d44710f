"""Who may use the HTTP service: protection against web pages, slow connections and callers without a key."""
