# SPDX-License-Identifier: LGPL-2.1-or-later
"""Carries out fence orders; filled in with devices."""
