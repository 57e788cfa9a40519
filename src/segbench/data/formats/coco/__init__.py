"""COCO's JSON, and its panoptic form."""
