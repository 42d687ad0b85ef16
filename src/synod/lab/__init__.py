# SPDX-License-Identifier: LGPL-2.1-or-later
"""Throw-away clusters of real systemd nodes on one machine; synod.lab.cluster.Lab is the interface."""
