"""Pascal VOC's layout."""
