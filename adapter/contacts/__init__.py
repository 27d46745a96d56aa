"""Contacts: how a person is named by number, JID, LID or user id.

Part of the domain layer: the standard library and phonenumbers only.
"""
