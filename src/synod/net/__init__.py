# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mutually authenticated TLS streams between agents, and the cluster's certificate authority."""
