"""GeoJSON beside images: polygons on the map, or in pixels as QuPath exports them."""
