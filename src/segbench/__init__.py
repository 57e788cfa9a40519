"""segbench: the workbench for semantic segmentation."""
