"""The store: apps, versions, categories, and what a package shows of itself."""
