"""The daemon's one door to PostgreSQL: connect, ask within a deadline, reconnect, and name what went wrong.

door.py     class Door: one connection, kept open
prepared.py class PreparedDoor: the same for questions that are asked again and again
hosts.py    class Hosts: which of several hosts leads; makes the doors of a database
company.py  the doors of one host name, which lead to one server
address.py  the hosts of a connection string
opening.py  one connection, opened and greeted
backoff.py  how long a door waits between two tries to connect
line.py     what every session of the guard is like
trouble.py  errors named once and without secrets; the end of what was given up
"""

from guard.postgres.door import Door, Work
from guard.postgres.hosts import Hosts, Seen
from guard.postgres.line import APPLICATION, WAITING
from guard.postgres.prepared import PreparedDoor
from guard.postgres.trouble import Connection

__all__ = ["APPLICATION", "WAITING", "Connection", "Door", "Hosts", "PreparedDoor", "Seen", "Work"]
