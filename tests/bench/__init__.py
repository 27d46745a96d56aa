"""The benchmark: the server beside its peers. `make bench` runs it."""
