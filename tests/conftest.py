# SPDX-License-Identifier: LGPL-2.1-or-later
"""No test is timed: a machine that is busy with other things finds no faults that are not there."""

from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
