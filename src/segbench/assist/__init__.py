"""Help for whoever labels: which images are worth it next."""
