# SPDX-License-Identifier: LGPL-2.1-or-later
"""``make bench-failover``: how long a dependent pair is away when its node dies, here and with Pacemaker."""
