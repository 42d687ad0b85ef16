# SPDX-License-Identifier: LGPL-2.1-or-later
"""Facts about a cluster: frozen values and the replicated state they make up."""
