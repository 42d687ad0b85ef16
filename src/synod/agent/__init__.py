# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon: one asyncio loop around engine.Node."""
