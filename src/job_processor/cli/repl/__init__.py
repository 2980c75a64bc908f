"""Python with the processor of an application in it: what `shell` starts."""
