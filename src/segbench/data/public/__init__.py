"""Public data sets: downloaded, checked and unpacked."""
