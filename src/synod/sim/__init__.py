# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same Node in a seeded world: virtual clock, network, disk and service manager."""
