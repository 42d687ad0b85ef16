# SPDX-License-Identifier: LGPL-2.1-or-later
"""What happened on the nodes of a lab, by the word of those who saw it; for the demo and the benchmarks."""
