"""Trained models behind HTTP: for programs, for annotation tools. Needs the extra `serve`."""
