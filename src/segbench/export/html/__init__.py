"""A trained model as a page that segments images in a browser, offline and without a server."""
