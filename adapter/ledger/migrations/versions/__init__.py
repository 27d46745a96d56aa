"""The versions of the ledger's schema, one module each, in the order of their numbers.

A version is never changed once it is released: a later change is a new module, which also sets
`adapter.ledger.upgrade.VERSION`. Each describes its tables itself, since `schema` has the newest.
"""
