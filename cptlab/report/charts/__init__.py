"""One file a figure: story -> `Chart`, or `Omitted` with the reason. Drawing is elsewhere."""
