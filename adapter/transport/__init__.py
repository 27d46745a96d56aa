"""The network: deadlines, retries, circuit breaker, connection pools and HTTP/1.1.

The only layer that opens sockets to providers. It imports no provider and no web framework.
"""
