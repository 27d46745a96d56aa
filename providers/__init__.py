"""The built-in providers: one file each, and plugins like those of third parties."""
