"""SEMP v2: configuration, monitoring and actions over the core, as REST.

``schema`` is what objects have, ``query`` the rules of select, where and paging, ``config``, ``monitor`` and ``action``
the three interfaces, ``api`` routing, authentication and the envelope.
"""
