"""From YFCC100M's metadata to a data set: nothing here is heavy to import."""
