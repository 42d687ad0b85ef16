# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bytes to messages and back: total functions with limits, no sockets."""
