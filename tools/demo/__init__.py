# SPDX-License-Identifier: LGPL-2.1-or-later
"""``make demo``: a cluster of three nodes keeps Synod's promises before your eyes."""
