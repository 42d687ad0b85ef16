# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ordered log: a Raft core without I/O."""
