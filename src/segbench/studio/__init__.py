"""The page where a labelled folder becomes a model: what people do with eyes and hands. Needs the extra `studio`."""
