"""What a person sees while a run goes on: the live view on a terminal, plain lines elsewhere.

May import ``config`` and ``metrics``. Start reading at ``live``.
"""
