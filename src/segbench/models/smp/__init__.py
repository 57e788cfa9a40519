"""The decoders of segmentation-models-pytorch with any of its encoders or of timm's; importing this needs no torch."""
