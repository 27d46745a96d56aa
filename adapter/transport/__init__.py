"""The network, and the bounds of one call: deadline, retries, circuit breaker, connections.

The only layer that opens sockets to providers. It knows no provider and no web framework.
"""
