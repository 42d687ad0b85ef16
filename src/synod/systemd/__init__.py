# SPDX-License-Identifier: LGPL-2.1-or-later
"""This host's service manager, journal and notification socket."""
