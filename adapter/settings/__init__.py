"""The configuration: a TOML file or a mapping becomes frozen, validated settings.

`model` is plain data and imports nothing above the domain; `loader` combines the sections, and
the other modules check one section or one kind of value each.
"""
