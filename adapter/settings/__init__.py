"""The configuration: a TOML file or a mapping becomes frozen, validated settings.

`model` is plain data and imports nothing above the domain; `schema` and `loader` know plugins.
"""
