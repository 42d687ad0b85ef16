# SPDX-License-Identifier: LGPL-2.1-or-later
"""What should run where: pure functions from state to plan."""
