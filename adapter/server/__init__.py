"""The production server. gunicorn and gevent are imported in this package alone.

Requires the extra `server`.
"""
