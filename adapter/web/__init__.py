"""The HTTP API on Flask: the app, the extension, the views and the dialect views.

The only layer that imports Flask. It holds no rule about providers or outcomes.
"""
