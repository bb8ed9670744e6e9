"""Durable storage: an append-only journal in segment files.

``segments`` holds the file format and its recovery, ``store`` the open journal, ``commit`` its group commit on an
event loop, ``compaction`` the rule by which old segments go. What the records mean is :mod:`..core.log`'s business.
"""
