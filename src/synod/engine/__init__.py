# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole node as one pure state machine."""
