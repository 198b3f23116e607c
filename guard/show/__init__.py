"""Lets people look: the status page, and what machines ask for. Nothing can be changed by it.

sight.py     what can be seen of the daemon, as values
"""
