"""Generators of pages, and the recorder of live exchanges. Run them as modules: `make readme`."""
