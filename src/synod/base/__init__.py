# SPDX-License-Identifier: LGPL-2.1-or-later
"""Vocabulary shared by every layer: names, time, errors, the machine protocol, the codec."""
