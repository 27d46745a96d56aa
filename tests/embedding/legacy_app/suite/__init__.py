"""The legacy app's own tests, older than the extension and told nothing of it."""
