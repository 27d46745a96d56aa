"""The configuration: a TOML file or a mapping becomes frozen, validated settings.

`model` is plain data and imports nothing above the domain. `loader` combines the sections; each of
the other modules checks one section or one kind of value, except `account_names`, which resolves
the account of a request, and `locations`, which finds the configuration file.
"""
