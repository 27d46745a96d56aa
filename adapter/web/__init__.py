"""The HTTP API on Flask: the app, the extension, the API views and the dialect views.

The lowest layer that imports Flask. Rules about providers and outcomes are in the layers below.
"""
