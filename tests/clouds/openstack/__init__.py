"""A real OpenStack for the tests: keystone, glance, placement, neutron, nova and cinder on one MariaDB.

Where to look: ``build`` (installs it once and keeps a database that is already set up), ``configuration``
(the services' configuration files), ``cloud`` (starts one for a run of the tests), ``inside/`` (programs
that run in OpenStack's own virtual environment: no module of the project imports them).

Nothing is replaced but what needs a data centre: nova's own fake hypervisor runs the machines, a volume
driver that moves no data serves cinder, and a mechanism driver binds every port without a switch. There is
no RabbitMQ: the processes of one service live in one process and talk through oslo.messaging's ``fake://``.
"""
