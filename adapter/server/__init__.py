"""The production server. gunicorn and gevent are imported here alone.

Installed with the extra `server`.
"""
