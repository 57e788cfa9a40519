"""A trained model inside of an annotation tool that calls Python; `segbench.serve` speaks to those over HTTP."""
