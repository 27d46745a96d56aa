"""The providers that come with the adapter: one file each, found like anybody else's plugin."""
