# SPDX-License-Identifier: LGPL-2.1-or-later
"""Durable files: the write-ahead log."""
