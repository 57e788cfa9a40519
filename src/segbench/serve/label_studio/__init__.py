"""A model as Label Studio's machine learning backend: it asks over HTTP, and this answers with regions."""

from segbench.serve.label_studio.routes import router

__all__ = ["router"]
